package inflate

import (
	"math/rand/v2"
	"testing"
)

// randomCode gives the lengths of a complete code: it splits words at random.
func randomCode(rnd *rand.Rand, symbols int) []uint8 {
	lens := []uint8{0}
	for len(lens) < symbols {
		i := rnd.IntN(len(lens))
		if rnd.IntN(3) > 0 {
			i = len(lens) - 1 // deep ones
		}
		if lens[i] == maxWord {
			continue
		}
		lens[i]++
		lens = append(lens, lens[i])
	}
	rnd.Shuffle(len(lens), func(i, j int) { lens[i], lens[j] = lens[j], lens[i] })
	return lens
}

// Every word of random codes is found in the table, behind whatever bits.
func TestTables(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var c codes
	tab := new(tables)
	for range 300 {
		lens := randomCode(rnd, 2+rnd.IntN(maxSymbols-1))
		if !c.sort(lens) {
			t.Fatalf("a complete code is refused: %v", lens)
		}
		tab.setLit(&c)
		at, word := 0, uint(0)
		for n := 1; n <= maxWord; n++ {
			for range c.count[n] {
				symbol := c.symbols[at]
				bits := uint64(word) | rnd.Uint64()<<n
				e := tab.lit[bits&litMask]
				if e&litSecond != 0 {
					e = tab.secondLit(e, bits)
				}
				if want := meaning().lit[symbol] + uint32(n)*0x101; e != want || lens[symbol] != uint8(n) {
					t.Fatalf("symbol %d, word %b of %d bits: %x, want %x", symbol, word, n, e, want)
				}
				at++
				word = successor(word, n)
			}
		}
		if word != 0 || at != len(lens) {
			t.Fatalf("%d symbols of %d, then %b", at, len(lens), word)
		}
	}
}

func TestTablesOfDistances(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	var c codes
	tab := new(tables)
	for range 1000 {
		lens := randomCode(rnd, 2+rnd.IntN(29))
		if !c.sort(lens) {
			t.Fatalf("a complete code is refused: %v", lens)
		}
		tab.setDist(&c)
		at, word := 0, uint(0)
		for n := 1; n <= maxWord; n++ {
			for range c.count[n] {
				bits := uint64(word) | rnd.Uint64()<<n
				e := tab.dist[bits&distMask]
				if e&distSecond != 0 {
					e = tab.secondDist(e, bits)
				}
				if want := meaning().dist[c.symbols[at]] + uint64(n)*0x101; e != want {
					t.Fatalf("symbol %d: %x, want %x", c.symbols[at], e, want)
				}
				at++
				word = successor(word, n)
			}
		}
	}
}
