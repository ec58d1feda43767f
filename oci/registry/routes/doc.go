// Package routes reads containers-registries.conf(5), version 2: from where images are really fetched. It knows which
// locations stand for a name, which of them are mirrors and for what, and what an administrator has forbidden. It connects
// to nothing.
//
// Files are looked for as podman 6 does it; FILE.d holds drop-ins, *.conf:
//
//   - $CONTAINERS_REGISTRIES_CONF, when set: this file, which must be there, and no drop-ins;
//   - else the first there is of $XDG_CONFIG_HOME (~/.config)/containers/registries.conf, /etc/containers/registries.conf
//     and /usr/share/containers/registries.conf, and the drop-ins from registries.conf.d beside each of the three (below
//     /etc and /usr/share also from registries.rootless.conf.d, there also from the directory named by the user's id, or
//     for root from registries.rootful.conf.d): all in the order of their names, and of one name only the first;
//   - at the end $CONTAINERS_REGISTRIES_CONF_OVERRIDE, when set.
//
// A later file replaces the [[registry]] tables of an earlier one that have the same prefix.
//
// Honoured are prefix, location, insecure, blocked, mirror-by-digest-only, and of a mirror location, insecure and
// pull-from-mirror. Names without a registry mean what they mean to docker, whatever these files say of it. [Config.Notes] has
// a sentence when aliases, unqualified-search-registries, credential-helpers or namespace-proxy, which are not honoured,
// would have made a difference. Nor are short-name-mode, which is about choosing between registries to search, and
// additional-layer-store-auth-helper.
//
// The tables are decoded by BurntSushi/toml and looked up here. podman's own library for it (go.podman.io/image v5.42,
// sysregistriesv2) was measured beside it, in a program with net/http and nothing else: 50 packages from outside the standard
// library and its like instead of 19, a module graph of 101 instead of 2, 463 KB more of it, and 1.7 to 2.1 ms of CPU time for
// a start instead of 1.2, which every start of Coracle would pay whether it pulls or not. Both are under permissive licences
// (Apache-2.0, MIT). Beside that library 23446 random lookups gave the same answers, but for a tag that only the prefix
// names, which podman loses, and for names that are none, which are refused one step later here.
package routes
