// Package volume keeps named volumes: directories of the caller's that runs share, for as long as nobody removes them.
//
//	DATA/volumes/NAME/volume.json    when it was made, and its labels
//	DATA/volumes/NAME/data/          what a run sees
//	DATA/volumes/NAME/runs/ID        a lease: a run that uses it, and its process
//	DATA/volumes/NAME/seed/          what an image has for it, complete, on its way into data (Seeding)
//	DATA/volumes/NAME/lock           held by who brings that
//	DATA/volumes/NAME/leaving        a link that names the process that is removing it right now
//	DATA/tmp                         what is being made or removed, under names that say by whom (fsx.TempName)
//
// They are with the records and not with the image layers: those may be in a place of the node, which goes with a job or is cleared
// of old files, and can be fetched again. A volume is the user's work, and is wanted on the next node, too.
//
// A volume appears by rename, whole. A run writes its lease and then looks whether the volume leaves; who removes a volume marks it
// as leaving and then looks at the leases. Whichever comes second sees the other, so that none goes under a run.
package volume
