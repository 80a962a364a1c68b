// What the guest does, as shell scripts for its busybox. Ports are the demo's first ones; the host's loopback is 10.0.2.2.

export interface Ports {
  readonly volumes: number;
  readonly discovery: number;
  readonly slots: number;
}

const nqn = 'nqn.2026-01.io.corelet:demo';
const head = 'set -e; modprobe nvme-tcp\nfail() { echo "FAILED: $*"; exit 1; }';

/** `what` is refused with a status, and not with a hang or a reset. */
function refused(command: string, status: string): string {
  return `out=$(${command} 2>&1) && fail "${command} succeeded"; echo "$out" | grep -qi '${status}' || fail "${command}: $out"`;
}

/** A volume through one Corelet: what nvme-cli shows, file systems, odd commands. `options`: of nvme connect. */
export function volumeJob({ volumes, discovery }: Ports, options: string): string {
  return `${head}
nvme discover -t tcp -a 10.0.2.2 -s ${discovery} | grep -q 'subnqn:  ${nqn}' || fail discover
nvme connect -t tcp -a 10.0.2.2 -s ${volumes} -n ${nqn} ${options}
d=/dev/nvme0n1; for i in 1 2 3 4 5 6 7 8 9 10; do [ -b $d ] && break; sleep 1; done
nvme list -v
[ "$(cat /sys/block/nvme0n1/queue/logical_block_size)" = 512 ] || fail 'logical blocks'
[ "$(cat /sys/block/nvme0n1/queue/physical_block_size)" = 4096 ] || fail 'physical blocks'
[ "$(cat /sys/block/nvme0n1/queue/write_zeroes_max_bytes)" -gt 1000000 ] || fail 'write zeroes'
[ "$(cat /sys/block/nvme0n1/queue/write_cache)" = 'write through' ] || fail 'write cache'
nvme id-ctrl /dev/nvme0 >/tmp/id; grep -q 'subnqn.*${nqn}' /tmp/id || fail id-ctrl
nvme id-ns $d | grep -q 'nmic.*0x1' || fail id-ns
nvme ana-log /dev/nvme0 | grep -q optimized || fail ana-log
nvme smart-log $d | grep -q 'available_spare.*100%' || fail smart-log
nvme error-log /dev/nvme0 -e 4 >/dev/null; nvme fw-log /dev/nvme0 >/dev/null; nvme get-log /dev/nvme0 -i 5 -l 4096 >/dev/null
nvme ns-descs $d | grep -q uuid || fail ns-descs
mkfs.ext4 -q -F $d; mount $d /mnt; cp -r /bin /mnt/; sync; (cd /mnt/bin; md5sum busybox nvme e2fsck mkfs.ext4) >/tmp/sums; umount /mnt
mount $d /mnt; (cd /mnt/bin; md5sum -c /tmp/sums >/dev/null) || fail 'files changed'; umount /mnt; e2fsck -fn $d
mkfs.xfs -q -f $d; modprobe xfs; mount $d /mnt; cp /bin/busybox /mnt/; sync; umount /mnt; mount $d /mnt
cmp /mnt/busybox /bin/busybox || fail 'xfs file'; umount /mnt
${refused('nvme format $d -f', 'opcode')}
blkdiscard $d || fail blkdiscard
dd if=$d bs=1M count=4 2>/dev/null | cmp -n 4194304 - /dev/zero || fail 'discarded blocks are not zeros'
dd if=/bin/busybox of=$d bs=4k count=16 conv=fsync 2>/dev/null
nvme write-zeroes $d -s 8 -c 7 >/dev/null; echo 3 >/proc/sys/vm/drop_caches; dd if=$d bs=4k skip=1 count=1 2>/dev/null | cmp -n 4096 - /dev/zero || fail write-zeroes
nvme compare $d -s 0 -c 7 -z 4096 -d /bin/busybox || fail compare
${refused('nvme compare $d -s 16 -c 7 -z 4096 -d /bin/busybox', 'compare')}
nvme disconnect -n ${nqn}; echo DONE
`;
}

/** Reservations of one host. */
export function reservationJob({ volumes }: Ports): string {
  return `${head}
nvme connect -t tcp -a 10.0.2.2 -s ${volumes} -n ${nqn}; sleep 1; d=/dev/nvme0n1
nvme id-ns $d | grep -q 'rescap.*0xff' || fail rescap
nvme resv-register $d --nrkey=0x1234
nvme resv-acquire $d --crkey=0x1234 --rtype=1
nvme resv-report $d --eds | tee /tmp/report; grep -q 'regctl.*1' /tmp/report || fail report; grep -q 'rtype.*1' /tmp/report || fail rtype
${refused('nvme resv-acquire $d --crkey=0x9 --rtype=1', 'conflict')}
dd if=/bin/busybox of=$d bs=4k count=1 conv=fsync 2>/dev/null || fail 'the holder writes'
nvme resv-release $d --crkey=0x1234 --rtype=1
nvme resv-register $d --crkey=0x1234 --rrega=1
nvme resv-report $d --eds | grep -q 'regctl.*: 0' || fail 'unregistered'
nvme disconnect -n ${nqn}; echo DONE
`;
}

/** The volume's first MiB through one Corelet, with what `options` add to the connection. */
export function transferJob({ volumes }: Ports, options: string): string {
  return `${head}
nvme connect -t tcp -a 10.0.2.2 -s ${volumes} -n ${nqn} ${options}; sleep 1; d=/dev/nvme0n1
dd if=/bin/busybox of=$d bs=64k count=16 conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches
dd if=$d bs=64k count=16 2>/dev/null | cmp -n 1048576 - /bin/busybox || fail 'what was read is not what was written'
nvme disconnect -n ${nqn}; echo DONE
`;
}

/** Every path that discovery tells, a file system, writes while a Corelet is pulled and put back: the host says when. */
export function multipathJob({ volumes, discovery, slots }: Ports, policy: string, seconds: number): string {
  return `${head}
i=0; while [ $i -lt ${slots} ]; do
  p=$((${volumes} + i)); nc -ll -p $p -e nc 10.0.2.2 $p &
  p=$((${discovery} + i)); nc -ll -p $p -e nc 10.0.2.2 $p &
  i=$((i + 1))
done; sleep 1
nvme connect-all -t tcp -a 127.0.0.1 -s ${discovery} -i 1 -k 3 -c 2 -l 120
for i in 1 2 3 4 5 6 7 8 9 10; do [ "$(ls -d /sys/class/nvme-subsystem/nvme-subsys*/nvme[0-9] 2>/dev/null | wc -l)" = ${slots} ] && break; sleep 1; done
subsystem=$(ls -d /sys/class/nvme-subsystem/nvme-subsys* | head -1)
echo ${policy} >$subsystem/iopolicy; cat $subsystem/iopolicy
nvme list-subsys; d=$(ls /dev/nvme*n1 | head -1)
mkfs.ext4 -q -F $d; mount $d /mnt
echo PATHS-READY
end=$(($(cut -d. -f1 /proc/uptime) + ${seconds})); longest=0; n=0
while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do
  before=$(cut -d' ' -f1 /proc/uptime | tr -d .)
  dd if=/dev/urandom of=/mnt/file$((n % 8)) bs=64k count=4 conv=fsync 2>/dev/null || fail "a write failed"
  md5sum /mnt/file$((n % 8)) >/tmp/sum$((n % 8))
  took=$(($(cut -d' ' -f1 /proc/uptime | tr -d .) - before)); [ $took -gt $longest ] && longest=$took
  n=$((n + 1)); [ $n = 3 ] && echo UNDER-LOAD
done
echo "LONGEST \${longest}0 ms over $n rounds of 256 KiB"
nvme list-subsys
for i in 0 1 2 3 4 5 6 7; do [ -f /tmp/sum$i ] && { md5sum -c /tmp/sum$i >/dev/null || fail "file $i changed"; }; done
[ "$(grep -l live $subsystem/nvme[0-9]*/state | wc -l)" = ${slots} ] || fail 'the path did not return'
umount /mnt; e2fsck -fn $d; dmesg | grep -iE 'I/O error|Buffer I/O' && fail 'an I/O error'
nvme disconnect-all; echo DONE
`;
}
