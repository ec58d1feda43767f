package line

// elsewhere says what to type for those of docker's commands that this program does not have by that name.
var elsewhere = map[string]string{
	"build":     "Coracle builds no images; 'coracle load' takes what docker or podman have built and saved",
	"commit":    "'coracle run --upper keep:NAME' keeps what a job writes for the next run",
	"container": "leave that word out: 'coracle ps', 'coracle stop RUN'",
	"create":    "a run is made and started at once: 'coracle run -d IMAGE'",
	"events":    "'coracle ps' and 'coracle runs' list the runs",
	"export":    "'coracle cp RUN:/ -' writes the files of a running container",
	"history":   "did you mean 'coracle inspect --layers IMAGE'?",
	"image":     "leave that word out: 'coracle images', 'coracle pull IMAGE'",
	"info":      "'coracle doctor', 'coracle df' and 'coracle version' tell that",
	"network":   "did you mean 'coracle run --network'?",
	"port":      "'coracle ps' shows ports",
	"restart":   "'coracle stop RUN', then 'coracle rerun RUN'",
	"rm":        "did you mean 'coracle runs rm'?",
	"start":     "a run is made and started at once; 'coracle rerun RUN' repeats one",
	"system":    "leave that word out: 'coracle df', 'coracle prune'",
}
