# A guest job (test/interop/guest): the Linux initiator's whole work on one volume, with both digests and mutual CHAP.
# PORT, TARGET, and the credentials come from the lines before.
portal=10.0.2.2:$PORT
set -e
modprobe iscsi_tcp
modprobe sd_mod
modprobe crc32c_generic
mkdir -p /run/lock/iscsi /etc/iscsi/nodes /etc/iscsi/send_targets
iscsid -f >/run/iscsid.log 2>&1 &
sleep 1
echo "DISCOVERED $(iscsiadm -m discovery -t st -p $portal | wc -l)"
iscsiadm -m node -o delete -T $TARGET || true # what it advertises are the host's own addresses
iscsiadm -m node -T $TARGET -p $portal -o new
set_key() { iscsiadm -m node -T $TARGET -p $portal -o update -n "$1" -v "$2"; }
set_key 'node.conn[0].iscsi.HeaderDigest' CRC32C
set_key 'node.conn[0].iscsi.DataDigest' CRC32C
set_key node.session.auth.authmethod CHAP
set_key node.session.auth.username "$CHAP_NAME"
set_key node.session.auth.password "$CHAP_SECRET"
set_key node.session.auth.username_in "$TARGET_CHAP_NAME"
set_key node.session.auth.password_in "$TARGET_CHAP_SECRET"
iscsiadm -m node -T $TARGET -p $portal -l
until ls /sys/class/block | grep -q '^sd'; do sleep 0.2; done
for session in /sys/class/iscsi_connection/*; do
  echo "DIGESTS $(cat $session/header_digest) $(cat $session/data_digest)"
done
disk=/dev/$(ls /sys/class/block | grep '^sd' | head -1)
echo "DISK $(cat /sys/class/block/sd*/device/vendor | head -1) $(blockdev --getsize64 $disk)"
mkfs.ext4 -q -F $disk
mount $disk /mnt
cp -r /bin /mnt/
cp /init /mnt/
sync
umount /mnt
e2fsck -fn $disk
mount $disk /mnt
for file in /bin/busybox /bin/iscsid /init; do cmp $file /mnt/$(echo $file | sed 's#^/##'); done
umount /mnt
iscsiadm -m node -T $TARGET -p $portal -u
echo LOGGED-OUT
