package main

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
)

const (
	pixels = 64 // 8x8
	digits = 10
	bright = 16 // the largest value of a pixel
)

// image is one digit: its pixels from 0 to 1, and which digit it shows.
type image struct {
	pixel [pixels]float64
	digit int
}

// load reads a gzip file with one image a line: 64 pixels of 0 to 16, then the digit.
func load(path string) (_ []image, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	rows := csv.NewReader(plain)
	rows.FieldsPerRecord = pixels + 1
	records, err := rows.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	set := make([]image, len(records))
	for i, fields := range records {
		if set[i], err = parse(fields); err != nil {
			return nil, fmt.Errorf("reading %s: line %d: %w", path, i+1, err)
		}
	}
	return set, nil
}

func parse(fields []string) (im image, err error) {
	for i := range im.pixel {
		value, err := number(fields[i], bright)
		if err != nil {
			return im, err
		}
		im.pixel[i] = float64(value) / bright
	}
	im.digit, err = number(fields[pixels], digits-1)
	return im, err
}

func number(field string, most int) (int, error) {
	value, err := strconv.Atoi(field)
	if err != nil {
		return 0, err
	}
	if value < 0 || value > most {
		return 0, fmt.Errorf("%d is not between 0 and %d", value, most)
	}
	return value, nil
}
