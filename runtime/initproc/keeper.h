// The keeper that is cloned before the Go runtime boots.
#ifndef CORACLE_KEEPER_H
#define CORACLE_KEEPER_H

#define KEEPER_NAME "coracle-keeper"
#define KEEPER_SOCKET 3 // the keeper's descriptor of the socket to its supervisor

struct keeper {
	int here;   // whether this process is the keeper
	int pid;    // in the supervisor: of the keeper; 0: there is none
	int socket; // in the supervisor: its end of the socket
	int said;   // in the supervisor: what the keeper prints
};

extern struct keeper coracle_keeper;

#endif
