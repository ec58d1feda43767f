package record

import (
	"iter"
	"path/filepath"
	"slices"
	"strings"
)

// Listing is what lists show of the records that a selection asks for, in its order. Thousands are held in little room.
type Listing struct {
	runs *Runs
	rows []row
}

// row is a record that is listed.
type row struct {
	id    string
	short int    // letters of the id that tell it from all others
	text  string // packed
}

// All are brief views, with briefFields, and as many letters of each id as tell it from those of all records. A view, and what is in
// it, is the loop's until that goes on.
func (l *Listing) All() iter.Seq2[*View, string] {
	return func(yield func(*View, string) bool) {
		v := &View{}
		for _, row := range l.rows {
			if l.runs.unpack(v, row.id, row.text) && !yield(v, row.id[:row.short]) {
				return
			}
		}
	}
}

// unpack makes a brief view of a packed record, which is read where that is none; false: it is gone.
func (r *Runs) unpack(v *View, id, text string) bool {
	if !v.unpack(text) {
		whole, _ := r.tolerate(id)
		if whole.ID == "" {
			return false
		}
		v.unpack(packed(&whole))
	}
	v.ID, v.Dir = id, filepath.Join(r.dir, id)
	return true
}

// Brief lists the records that a selection asks for.
func (r *Runs) Brief(s Selection) (*Listing, error) {
	order, err := newOrder(s.Sort)
	if err != nil {
		return nil, err
	}
	ids, err := r.IDs()
	if err != nil {
		return nil, err
	}
	l := &Listing{runs: r}
	few := s.Limit > 0 && s.Limit <= greatest && s.Sort == "" && len(s.Filters) == 0 // which are read as fast
	if few || !s.brief() {
		views, err := r.selected(ids, s, order)
		if err != nil {
			return nil, err
		}
		for i := range views {
			l.rows = append(l.rows, row{id: views[i].ID, text: packed(&views[i])})
		}
	} else if l.rows, err = r.rows(ids, s, order); err != nil {
		return nil, err
	}
	for i := range l.rows {
		l.rows[i].short = shortened(ids, l.rows[i].id)
	}
	return l, nil
}

// rows are the records that fit, in their order, by what a brief view has.
func (r *Runs) rows(ids []string, s Selection, order order) ([]row, error) {
	entries, err := r.briefly(ids)
	if err != nil {
		return nil, err
	}
	rows := make([]row, 0, len(entries))
	var keys []any
	v := &View{}
	for _, e := range entries {
		if e.ID == "" {
			continue
		}
		if len(s.Filters) > 0 || order.field != "" {
			if !r.unpack(v, e.ID, e.Text) || !fitsAll(s.Filters, v) {
				continue
			}
			if order.field != "" {
				keys = append(keys, order.key(v))
			}
		}
		rows = append(rows, row{id: e.ID, text: e.Text})
	}
	rows = sorted(rows, keys, order)
	if s.Limit > 0 {
		rows = rows[:min(s.Limit, len(rows))]
	}
	return rows, nil
}

// shortened is how many letters tell an id from the others, which are in falling order.
func shortened(ids []string, id string) int {
	i, found := slices.BinarySearchFunc(ids, id, func(other, id string) int { return strings.Compare(id, other) })
	if !found {
		return len(id)
	}
	return shortAt(ids, i)
}
