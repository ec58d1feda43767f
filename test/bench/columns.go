package main

import "fmt"

// A column is one quantity of each row, as the report prints it.
type column struct {
	title string
	of    func(row) string
}

// startColumns are what matters in runs of milliseconds.
var startColumns = []column{
	{"median ms", func(r row) string { return number(r.Wall) }},
	{"p90", func(r row) string { return number(r.P90) }},
	{"min", func(r row) string { return number(r.Min) }},
	{"ratio", func(r row) string { return relative(r.Ratio) }},
	{"to podman", func(r row) string { return relative(r.PeerRatio) }},
	{"user ms", func(r row) string { return number(r.User) }},
	{"system ms", func(r row) string { return number(r.System) }},
	{"own MiB", func(r row) string { return mebibytes(r.Own) }},
	{"tree MiB", func(r row) string { return mebibytes(r.Tree) }},
	{"written MB", func(r row) string { return fmt.Sprint(r.Written / 1_000_000) }},
}

// pullColumns are what matters in runs of seconds.
var pullColumns = []column{
	{"median s", func(r row) string { return seconds(r.Wall) }},
	{"p90", func(r row) string { return seconds(r.P90) }},
	{"min", func(r row) string { return seconds(r.Min) }},
	{"ratio", func(r row) string { return relative(r.Ratio) }},
	{"to podman", func(r row) string { return relative(r.PeerRatio) }},
	{"CPU s", func(r row) string { return seconds(r.User + r.System) }},
	{"user", func(r row) string { return seconds(r.User) }},
	{"system", func(r row) string { return seconds(r.System) }},
	{"later", func(r row) string { return seconds(r.Later) }},
	{"MiB", func(r row) string { return mebibytes(r.Tree) }},
	{"written MB", func(r row) string { return megabytes(r.Written) }},
	{"ratio", func(r row) string { return relative(r.WrittenRatio) }},
	{"disk MB", func(r row) string { return megabytes(r.Disk) }},
	{"served MB", func(r row) string { return megabytes(r.Served) }},
}

// trainColumns are what matters of jobs that run for a while.
var trainColumns = []column{
	{"median s", func(r row) string { return seconds(r.Wall) }},
	{"p90", func(r row) string { return seconds(r.P90) }},
	{"min", func(r row) string { return seconds(r.Min) }},
	{"ratio", func(r row) string { return fine(r.Ratio) }},
	{"CPU s", func(r row) string { return seconds(r.CPU) }},
	{"ratio", func(r row) string { return fine(r.CPURatio) }},
	{"user", func(r row) string { return seconds(r.User) }},
	{"system", func(r row) string { return seconds(r.System) }},
	{"later", func(r row) string { return seconds(r.Later) }},
}

// networkColumns are what matters of a stream of networkBytes.
var networkColumns = []column{
	{"MB/s", func(r row) string { return fmt.Sprintf("%.0f", networkBytes/1e3/r.Wall) }},
	{"median s", func(r row) string { return seconds(r.Wall) }},
	{"p90", func(r row) string { return seconds(r.P90) }},
	{"min", func(r row) string { return seconds(r.Min) }},
	{"ratio", func(r row) string { return relative(r.Ratio) }},
	{"CPU s", func(r row) string { return seconds(r.CPU) }},
	{"ratio", func(r row) string { return relative(r.CPURatio) }},
}

// fine is relative for ratios that are nearly 1.
func fine(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", ratio)
}

// number prints milliseconds with about three digits that mean something.
func number(ms float64) string {
	if ms < 100 {
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}

func seconds(ms float64) string { return fmt.Sprintf("%.2f", ms/1000) }

func relative(ratio float64) string {
	if ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", ratio)
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(n)/(1<<20))
}

func megabytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n / 1_000_000)
}
