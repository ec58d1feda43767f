package imageset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// content is the bytes of made-up files: pieces, in no order, of pools that look to a compressor like what is in images. gzip
// halves them, about. A pool is larger than what gzip looks back at, so that a piece used twice is new to it.
type content struct {
	random *rand.Rand
	pools  [][]byte
}

const poolSize = 4 << 20

// newContent is the same for the same seed.
func newContent(seed uint64) *content {
	random := rand.New(rand.NewPCG(seed, 0x636f7261636c65))
	code, text, table, numbers := machineCode(random), script(random), symbols(random), floats(random)
	return &content{random, [][]byte{code, code, code, text, text, text, table, numbers}}
}

// size is that of a file, for files of a mean size: exponentially distributed, at most five times the mean.
func (c *content) size(mean int) int {
	return int(float64(mean) * min(c.random.ExpFloat64(), 5))
}

// piece is up to 64 KiB, and not more than wanted. The caller must not write to it.
func (c *content) piece(wanted int) []byte {
	pool := c.pools[c.random.IntN(len(c.pools))]
	length := min(wanted, 4<<10+c.random.IntN(60<<10))
	start := c.random.IntN(len(pool) - length)
	return pool[start : start+length]
}

// machineCode is instructions that are used the more often the earlier they are in a list, with operands of their own.
func machineCode(random *rand.Rand) []byte {
	opcodes := make([][]byte, 900)
	for i := range opcodes {
		opcodes[i] = noise(random, 2+random.IntN(5))
	}
	often := rand.NewZipf(random, 1.1, 8, uint64(len(opcodes)-1))
	var b bytes.Buffer
	for b.Len() < poolSize {
		b.Write(opcodes[often.Uint64()])
		if random.IntN(3) == 0 {
			b.Write(noise(random, 1+random.IntN(3)))
		}
	}
	return b.Bytes()
}

// script is lines of words, as a program's text has them.
func script(random *rand.Rand) []byte {
	words := make([]string, 4000)
	for i := range words {
		words[i] = fmt.Sprintf("%s%x", []string{"self.", "_", "get", "tensor", "is_", "x"}[i%6], random.Uint32()>>(8+i%17))
	}
	often := rand.NewZipf(random, 1.2, 6, uint64(len(words)-1))
	var b bytes.Buffer
	for b.Len() < poolSize {
		fmt.Fprintf(&b, "%*s%s = %s(%s, %s)\n", 4*random.IntN(5), "", words[often.Uint64()], words[often.Uint64()], words[often.Uint64()],
			words[often.Uint64()])
	}
	return b.Bytes()
}

// symbols is records with addresses that grow.
func symbols(random *rand.Rand) []byte {
	b := make([]byte, 0, poolSize+24)
	for address := uint64(0x1000); len(b) < poolSize; {
		address += uint64(random.IntN(4096))
		b = binary.LittleEndian.AppendUint64(b, address)
		b = binary.LittleEndian.AppendUint64(b, uint64(random.IntN(12)))
		b = binary.LittleEndian.AppendUint64(b, uint64(random.IntN(1<<14)))
	}
	return b
}

// floats is weights.
func floats(random *rand.Rand) []byte {
	b := make([]byte, 0, poolSize)
	for len(b) < poolSize {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(random.NormFloat64()*0.02)))
	}
	return b
}

func noise(random *rand.Rand, length int) []byte {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}
