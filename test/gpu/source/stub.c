// A library of the driver's that nothing calls: it has a name and a version.
__attribute__((visibility("default"))) const char stub_of[] = NAME;
