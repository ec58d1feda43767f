#!/bin/bash
# What a node does once it is booted: users as machines have them, then what it was booted for. Results go out by a port of
# their own (results.go reads them), everything else to the console.
#
#   full    a user manager that lingers and has all controllers, as an administrator who read our advice would set it up
#   plain   a user manager that lingers and has memory and pids, as systemd before version 254 delegates
#   alone   no user manager unless somebody logs in, and no subordinate ids
set -uo pipefail
export HOME=/root PATH=/payload/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TMPDIR=/var/tmp
exec 3>/dev/virtio-ports/results

# A node whose work was killed ends as well.
mkdir -p /run/systemd/system/payload.service.d
printf '[Unit]\nSuccessAction=poweroff-force\nFailureAction=poweroff-force\n' >/run/systemd/system/payload.service.d/end.conf

users() {
	local uid=2000 user
	for user in full plain alone; do
		useradd -m -s /bin/bash -u "$uid" "$user"
		mkdir -p "/etc/systemd/system/user@$uid.service.d"
		uid=$((uid + 1))
	done
	sed -i '/^alone:/d' /etc/subuid /etc/subgid
	printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >/etc/systemd/system/user@2000.service.d/delegate.conf
	printf '[Service]\nDelegate=\nDelegate=memory pids\n' >/etc/systemd/system/user@2001.service.d/delegate.conf
	systemctl daemon-reload
	loginctl enable-linger full
	loginctl enable-linger plain
	systemctl start user@2000.service user@2001.service
}

# suites runs each test binary in the directory of its package.
suites() {
	local dir name status
	for dir in /payload/suites/*/; do
		name=$(basename "$dir")
		mapfile -t args <"$dir/args"
		printf '#node begin %s\n' "$name"
		(cd "$dir/package" && exec env CORACLE_TEST_NODE=booted TEST_REQUIRE=all CORACLE_BIN=/payload/bin/coracle $(<"$dir/env") \
			"$dir/test.bin" "${args[@]}" </dev/null)
		status=$?
		printf '\n#node end %s %d\n' "$name" "$status"
	done
	printf '#node complete\n'
}

users
case $(</payload/mode) in
suites)
	suites >&3 2>&1
	journalctl -b -p warning --no-pager
	;;
command)
	(cd /root && bash /payload/command </dev/null) >&3 2>&1
	printf '\n#node status %d\n' $? >&3
	;;
shell)
	stty sane
	cd /root && PS1='node# ' bash --norc -i
	;;
esac
sync
systemctl poweroff --force --force
