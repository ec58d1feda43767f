#!/usr/bin/env bash
# step.sh ROOT base SUITE          a minimal Debian system in the empty directory ROOT
# step.sh ROOT install PACKAGE...  packages in the system that is there
#
# Runs as root in mount and pid namespaces of its own (see run in build_linux.go): no mount and no process survives it, and
# nothing is removed while a mount is there. Mirror and proxy are those of this machine's apt.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

root=${1:?usage: step.sh ROOT base|install ...}
action=${2:?usage: step.sh ROOT base|install ...}
shift 2

base() {
	local suite=$1 mirror proxy=
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" 2>/dev/null | head -n 1 || true)
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[[ -z $proxy ]] || export http_proxy=$proxy
	debootstrap --variant=minbase "$suite" "$root" "${mirror:-http://deb.debian.org/debian}"
	# Copied from this machine by debootstrap.
	echo debian >"$root/etc/hostname"
	: >"$root/etc/resolv.conf"
	tidy
}

install() {
	mount -t proc proc "$root/proc"
	mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
	local node
	for node in null zero full random urandom; do
		: >"$root/dev/$node"
		mount --bind "/dev/$node" "$root/dev/$node"
	done
	mount -t tmpfs -o mode=0755 tmpfs "$root/run"
	mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
	# Only how to reach the mirror: a hook of this machine's apt would not find its program inside.
	apt-config dump Acquire >"$root/run/apt.conf"
	chroot "$root" env APT_CONFIG=/run/apt.conf apt-get -q update
	chroot "$root" env APT_CONFIG=/run/apt.conf apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"
	tidy
}

# tidy removes what belongs to the moment of building.
tidy() {
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
	rm -f "$root"/var/log/*.log "$root"/var/log/apt/*
}

"$action" "$@"
