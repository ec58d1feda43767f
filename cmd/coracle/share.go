package main

import "github.com/urfave/cli/v2"

func shareFlag() cli.Flag {
	return &cli.StringFlag{Name: "share", Usage: "Share one container with the other ranks of the step on `WHERE`: node (this one)"}
}
