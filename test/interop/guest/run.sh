#!/bin/bash
# run.sh DIR JOB.sh: boots what build.sh made and runs the job in it as root; its console goes to stdout; exit status is the job's.
# The host's loopback is 10.0.2.2 in there. Emulated: for correctness, not for speed.
set -uo pipefail
dir=$1 job=$2
work=$(mktemp -d)
trap 'rm -rf "$work"; kill "${qemu:-}" 2>/dev/null' EXIT
cp "$job" "$work/job.sh"
(cd "$work" && echo job.sh | cpio -o -H newc --quiet | gzip -1) >"$work/job.gz"
cat "$dir/initrd.gz" "$work/job.gz" >"$work/initrd"
mkfifo "$work/console"
qemu-system-x86_64 -accel tcg,thread=multi -machine q35,usb=off -cpu max -smp 1 -m 768 -nographic -nodefaults -no-reboot \
  -serial stdio -kernel "$dir/vmlinuz" -initrd "$work/initrd" \
  -append 'console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check' \
  -netdev user,id=n0 -device virtio-net-pci,netdev=n0,romfile= </dev/null >"$work/console" &
qemu=$!
tee "$work/log" <"$work/console"
wait "$qemu"
status=$(sed -n 's/^JOB-ENDED \([0-9]*\).*/\1/p' "$work/log" | tail -1)
exit "${status:-1}"
