package gpu

import (
	"errors"
	"reflect"
	"testing"
)

func TestParseSelection(t *testing.T) {
	for text, want := range map[string]Selection{
		"all":                                    {All: true},
		"-1":                                     {All: true},
		"none":                                   {},
		"0":                                      {},
		"2":                                      {Count: 2},
		"count=2":                                {Count: 2},
		"count=all":                              {All: true},
		"device=0":                               {Names: []string{"0"}},
		"device=0,1":                             {Names: []string{"0", "1"}},
		`"device=0,1"`:                           {Names: []string{"0", "1"}},
		`"device=0,2:1",driver=nvidia`:           {Names: []string{"0", "2:1"}},
		"device=all":                             {All: true},
		"device=1,GPU-3f":                        {Names: []string{"1", "GPU-3f"}},
		"GPU-8d55b1c2":                           {Names: []string{"GPU-8d55b1c2"}},
		"GPU-8d,MIG-4a":                          {Names: []string{"GPU-8d", "MIG-4a"}},
		"0:1":                                    {Names: []string{"0:1"}},
		"0:1,0:2":                                {Names: []string{"0:1", "0:2"}},
		"count=2,capabilities=compute":           {Count: 2, Capabilities: []string{"compute"}},
		"2,capabilities=compute":                 {Count: 2, Capabilities: []string{"compute"}},
		"all,capabilities=gpu":                   {All: true, Capabilities: []string{}},
		`all,"capabilities=compute,utility,gpu"`: {All: true, Capabilities: []string{"compute", "utility"}},
		"capabilities=compute,utility":           {Count: 1, Capabilities: []string{"compute", "utility"}},
	} {
		if got, err := ParseSelection(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "some", "-2", "1.5", "0,1", "99999", "device=", "device=none", "device=a", "device=GPU-", "device=0,,1", "GPU-xyz", "0:", ":1",
		"count=1,device=0", "device=0,device=1", "capabilities=fly", "driver=amd", "options=x", `"device=0,1`, `device="0,1"x`, "all,all", "none,0:1",
	} {
		if got, err := ParseSelection(text); !errors.Is(err, ErrSelection) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
