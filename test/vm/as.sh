#!/bin/bash
# as USER COMMAND...: the command as a user of the node who has logged in: a session of logind, with the user's manager.
user=${1:?usage: as USER COMMAND...}
shift
exec systemd-run --quiet --wait --collect --pipe --uid="$user" --gid="$user" -p PAMName=login -p WorkingDirectory="~" \
	-E PATH="/payload/bin:$PATH" -E LANG=C.UTF-8 -- "$@"
