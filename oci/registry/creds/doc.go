// Package creds finds, stores and removes the credentials of registries, where docker and podman keep them. They are
// looked for in this order, and the first that knows a registry is taken:
//
//	$DOCKER_AUTH_CONFIG                          the text itself, of "auths" alone
//	$REGISTRY_AUTH_FILE                          when set
//	$DOCKER_CONFIG/config.json                   else ~/.docker/config.json
//	$XDG_RUNTIME_DIR/containers/auth.json        else /run/containers/UID/auth.json
//	$XDG_CONFIG_HOME/containers/auth.json        else ~/.config/containers/auth.json
//
// Inside a file the most specific entry counts: one in "auths" for the repository or a name space of it (HOST/PATH, as
// podman has them), then the credential helper for the host ("credHelpers"), then the one for all ("credsStore"), then the
// entry for the host. New credentials go into the first file that is not podman's alone: $REGISTRY_AUTH_FILE if set, else
// docker's; through the helper it names, or into "auths", as docker does it. Everything else in the file stays.
//
// docker.io is also known by the names it had: https://index.docker.io/v1/, under which docker keeps it, and others.
//
// A Place is an authn.Keychain, a Credential an authn.AuthConfig and where it is from.
//
// A credential helper has HelperTimeout to answer. Secrets are in no error and, printed, a Credential shows none.
package creds
