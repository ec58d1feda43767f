// Confines every thread of this process by a Landlock ruleset, but the one called except (0: none), and with it every thread and
// process that these start. Returns 0 or an error number; then some threads may be confined, and others not.
int coracle_fence(int ruleset, int except);
