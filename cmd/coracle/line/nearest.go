package line

import "strings"

// Nearest is the candidate that word was probably meant to be, or "" when none is like it: the one with the fewest changed,
// missing, surplus or swapped letters, at most a third of the word and of two letters one, or else the only one that begins with it.
func Nearest(word string, candidates []string) string {
	best, least := "", len(word)/3+1
	if len(word) == 2 {
		least++
	}
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	if best != "" {
		return best
	}
	for _, c := range candidates {
		if len(word) < 2 || !strings.HasPrefix(c, word) {
			continue
		}
		if best != "" {
			return ""
		}
		best = c
	}
	return best
}

// distance is the number of letters to change, add, drop or swap with their neighbour to make b of a (the optimal string
// alignment distance).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
