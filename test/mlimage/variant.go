package mlimage

import ocispec "github.com/opencontainers/image-spec/specs-go/v1"

// A Variant is one of the images.
type Variant struct {
	name   string     // "" is Small's
	steps  [][]string // arguments of step.sh, or "weights" and megabytes; each one makes a layer
	config ocispec.ImageConfig
}

// Small is for tests: Python and scikit-learn, 290 MB compressed.
var Small = Variant{
	steps: [][]string{
		{"base", "bookworm"},
		{"install", "python3"},
		{"install", "python3-sklearn"},
	},
	config: config("import sklearn; print(sklearn.__version__)"),
}

// Large is for benchmarks, as images for training are: numpy, scikit-learn, pandas, torch and a model's weights; 1.3 GB
// compressed, 2.7 GB unpacked.
var Large = Variant{
	name: "large",
	steps: [][]string{
		{"base", "bookworm"},
		{"install", "python3-numpy", "python3-sklearn", "python3-pandas"},
		{"install", "python3-torch", "python3-torchvision"},
		{"weights", "640"},
	},
	config: config("import torch; print(torch.__version__)"),
}

// Cluster is for jobs over several nodes: Open MPI, the client of Slurm's PMI2, and torch; 480 MB compressed.
var Cluster = Variant{
	name: "cluster",
	steps: [][]string{
		{"base", "bookworm"},
		{"install", "python3-mpi4py", "libpmi2-0"},
		{"install", "python3-torch"},
	},
	config: config("import torch.distributed; print(torch.__version__)"),
}

// config is how an image runs: a line of Python, with the environment that Python images have.
func config(line string) ocispec.ImageConfig {
	return ocispec.ImageConfig{
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"PYTHONUNBUFFERED=1",
		},
		Cmd: []string{"python3", "-c", line},
	}
}

// prefix begins the names of the variant's directories in the cache.
func (v Variant) prefix() string {
	if v.name == "" {
		return "mlimage-"
	}
	return "mlimage-" + v.name + "-"
}
