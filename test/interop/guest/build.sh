#!/bin/bash
# build.sh DIR: makes DIR/vmlinuz and DIR/initrd.gz: a Debian kernel and a small root with the Linux initiators, so that they run in
# qemu where this machine's kernel has none. As root on Debian it installs what is missing. Exit 3: it can't be made here.
set -euo pipefail
out=$1
packages=(qemu-system-x86 seabios busybox-static cpio kmod open-iscsi nvme-cli e2fsprogs xfsprogs dmsetup)

missing=()
for package in "${packages[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
if ((${#missing[@]})); then
  [ "$(id -u)" = 0 ] || { echo "not root, and missing: ${missing[*]}" >&2; exit 3; }
  # Installed for their files: no service of theirs shall start here.
  policy=/usr/sbin/policy-rc.d
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; trap 'rm -f "$policy"' EXIT; }
  install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "${missing[@]}" >/dev/null; }
  install || { apt-get update -qq -o DPkg::Lock::Timeout=120 && install; } || exit 3
fi

mkdir -p "$out"
out=$(readlink -f "$out")
kernel=$out/kernel
if [ ! -d "$kernel/boot" ]; then
  image=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
  mkdir -p "$kernel" "$out/packages"
  (cd "$out/packages" && apt-get download -qq "$image") || exit 3
  dpkg -x "$out"/packages/"$image"*.deb "$kernel"
fi
version=$(ls "$kernel/lib/modules")
PATH=$PATH:/sbin:/usr/sbin
depmod -b "$kernel" "$version"

root=$out/root
rm -rf "$root"
mkdir -p "$root"/{bin,etc/iscsi,etc/nvme,proc,sys,dev,tmp,mnt,run/lock/iscsi,var/lib,root} "$root/lib/modules/$version"
ln -s ../run "$root/var/run"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
for program in iscsid iscsiadm nvme mkfs.ext4 mkfs.xfs e2fsck dmsetup modprobe; do
  path=$(readlink -f "$(command -v "$program")")
  rm -f "$root/bin/$program"
  cp -L "$path" "$root/bin/$program"
  { ldd "$path" 2>/dev/null || true; } | grep -oE '/[^ ]+\.so[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -Ln "$library" "$root$library"
  done
done

echo 'InitiatorName=iqn.2026-01.test:guest' >"$root/etc/iscsi/initiatorname.iscsi"
sed 's/^node.startup.*/node.startup = manual/; s#^iscsid.startup.*#iscsid.startup = /bin/iscsid#' /etc/iscsi/iscsid.conf >"$root/etc/iscsi/iscsid.conf"
echo 11111111-2222-3333-4444-555555555555 >"$root/etc/nvme/hostid"
echo nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555 >"$root/etc/nvme/hostnqn"
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
echo root:x:0: >"$root/etc/group"
echo 'passwd: files' >"$root/etc/nsswitch.conf"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
cp /etc/mke2fs.conf "$root/etc/"

for module in virtio_net virtio_pci virtio_rng iscsi_tcp sd_mod nvme-tcp ext4 xfs dm-mod dm-multipath dm-service-time dm-round-robin crc32c_generic; do
  { modprobe -d "$kernel" -S "$version" --show-depends "$module" 2>/dev/null || true; } | awk '/^insmod/ { print $2 }'
done | sort -u | while read -r file; do
  place=$root/lib/modules/$version/${file#*/"$version"/}
  mkdir -p "$(dirname "$place")"
  cp "$file" "$place"
done
cp "$kernel/lib/modules/$version"/modules.{builtin,order} "$root/lib/modules/$version/"
depmod -b "$root" "$version"

cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
modprobe virtio_pci
modprobe virtio_net
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
/bin/sh /job.sh
echo "JOB-ENDED $?"
sync
poweroff -f
INIT
chmod +x "$root/init"
cp "$kernel/boot/vmlinuz-$version" "$out/vmlinuz"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$out/initrd.new"
mv "$out/initrd.new" "$out/initrd.gz" # last: whoever finds it finds all
