# A guest job (test/interop/guest): two sessions to two Corelets, dm-multipath over both, and a writer that goes on while one is pulled.
# PORT and OTHER_PORT (two slots), TARGET and SECONDS_MAX come from the lines before. Says PULL when the test shall pull the first slot.
set -e
for module in iscsi_tcp sd_mod crc32c_generic dm-mod dm-multipath dm-service-time; do modprobe $module; done
mkdir -p /run/lock/iscsi /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid -f >/run/iscsid.log 2>&1 &
sleep 1
for port in $PORT $OTHER_PORT; do
  portal=10.0.2.2:$port
  iscsiadm -m node -T $TARGET -p $portal -o new
  for pair in node.session.timeo.replacement_timeout=1 'node.conn[0].timeo.noop_out_interval=5' 'node.conn[0].timeo.noop_out_timeout=5'; do
    iscsiadm -m node -T $TARGET -p $portal -o update -n "${pair%=*}" -v "${pair#*=}"
  done
  iscsiadm -m node -T $TARGET -p $portal -l
done
until [ "$(ls /sys/class/block | grep -c '^sd')" = 2 ]; do sleep 0.2; done
paths=
for disk in $(ls /sys/class/block | grep '^sd'); do paths="$paths $(cat /sys/class/block/$disk/dev) 1"; done
sectors=$(cat /sys/class/block/sda/size)
dmsetup create mp --table "0 $sectors multipath 1 queue_if_no_path 0 1 1 service-time 0 2 1$paths"
# What multipathd would do: a path that is there again is used again. On a busy machine both may be away for a moment.
while sleep 1; do
  for path in $(ls /sys/class/block | grep '^sd'); do
    [ "$(cat /sys/class/block/$path/device/state)" != running ] || dmsetup message mp 0 reinstate_path $(cat /sys/class/block/$path/dev)
  done
done >/dev/null 2>&1 &
disk=/dev/mapper/mp
[ -e $disk ] || { dmsetup mknodes; }
mkfs.ext4 -q -F $disk
mount $disk /mnt
now() { set -- $(cat /proc/uptime); echo "${1%.*}${1#*.}"; } # hundredths of a second
end=$(($(now) + SECONDS_MAX * 100))
longest=0 writes=0 pulled=
while [ "$(now)" -lt $end ]; do
  began=$(now)
  dd if=/dev/urandom of=/mnt/file bs=4k count=4 seek=$((writes % 64 * 4)) conv=notrunc,fsync 2>/dev/null
  took=$(($(now) - began))
  [ $took -le $longest ] || longest=$took
  writes=$((writes + 1))
  if [ -z "$pulled" ] && [ $writes -ge 20 ]; then
    echo PULL
    pulled=1
  fi
done
dmsetup status mp
umount /mnt
e2fsck -fn $disk
echo "WRITES $writes LONGEST-MS $((longest * 10))"
