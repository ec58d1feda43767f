#!/usr/bin/env bash
# node.sh system SUITE DIR PACKAGE...    makes DIR/disk.img, DIR/vmlinuz and DIR/initrd: a node of the release SUITE of Debian
# node.sh emulator SUITE DIR PACKAGE...  makes DIR/bin, DIR/lib and DIR/share: qemu of that release, with all that it needs
#
# Runs as root in mount and pid namespaces of its own (see build in cache_linux.go): no mount and no process survives it.
# Mirror and proxy are those of this machine's apt.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

usage="usage: node.sh system|emulator SUITE DIR PACKAGE..."
what=${1:?$usage} suite=${2:?$usage} dir=${3:?$usage}
shift 3
root=$dir/root
packages=$*

# bootstrap makes a minimal system with the packages in root.
bootstrap() {
	local mirror proxy=
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1 || true)
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[[ -z $proxy ]] || export http_proxy=$proxy
	debootstrap --variant=minbase --include="${packages// /,}" "$suite" "$root" "${mirror:-http://deb.debian.org/debian}"
}

system() {
	echo node >"$root/etc/hostname"
	printf '127.0.0.1 localhost node\n::1 localhost\n' >"$root/etc/hosts"
	: >"$root/etc/resolv.conf"
	# What the node is booted for: a second disk.
	mkdir "$root/payload"
	echo 'LABEL=payload /payload ext4 ro 0 0' >"$root/etc/fstab"
	cat >"$root/etc/systemd/system/payload.service" <<'UNIT'
[Unit]
Description=What the node is booted for
After=multi-user.target systemd-logind.service
[Service]
ExecStart=/payload/start
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TTYReset=yes
KillMode=mixed
[Install]
WantedBy=multi-user.target
UNIT
	local unit enable=$root/etc/systemd/system
	mkdir -p "$enable/multi-user.target.wants"
	ln -s ../payload.service "$enable/multi-user.target.wants/"
	# Nobody logs in, nothing is fetched, no disk is looked after; systemd is not to greet a new machine at each boot.
	for unit in serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
		e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service systemd-networkd.service; do
		ln -sf /dev/null "$enable/$unit"
	done
	# What only some tests want, they start.
	for unit in munge slurmctld slurmd nfs-server nfs-client.target nfs-blkmap rpcbind.socket rpcbind remote-fs.target; do
		chroot "$root" systemctl disable --quiet "$unit"
	done
	touch "$root/etc/.updated" "$root/var/.updated"
	printf "%032x\n" 1 >"$root/etc/machine-id"
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb

	mv "$root"/boot/vmlinuz-* "$dir/vmlinuz"
	mv "$root"/boot/initrd.img-* "$dir/initrd"
	rm -f "$root/vmlinuz"* "$root/initrd.img"*
	# Sparse, and never written to: each boot has a layer of its own over it.
	mke2fs -q -F -t ext4 -O ^has_journal -L node -d "$root" "$dir/disk.img" 3000M
	rm -rf "$root"
	chmod 0644 "$dir"/{disk.img,vmlinuz,initrd}
}

emulator() {
	local library
	mkdir "$dir/bin" "$dir/lib" "$dir/share"
	cp "$root/usr/bin/qemu-system-x86_64" "$dir/bin/"
	# ldd's lines are "NAME => PATH (ADDRESS)" and, for the loader, "PATH (ADDRESS)".
	chroot "$root" ldd /usr/bin/qemu-system-x86_64 | grep -o '/[^ ]*' | while read -r library; do
		cp -L "$root$library" "$dir/lib/"
	done
	cp -rL "$root"/usr/share/seabios/. "$root"/usr/share/qemu/. "$dir/share/" 2>/dev/null || true # some links lead to what is not installed
	rm -rf "$root"
	"$dir"/lib/ld-linux-x86-64.so.2 --library-path "$dir/lib" "$dir/bin/qemu-system-x86_64" --version
}

bootstrap
"$what"
