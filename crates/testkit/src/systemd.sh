# Becomes the first process of a system of its own: systemd, with the units of the folder $2 and nothing
# else to start. What it writes is in memory, over this machine's files, and goes away with it.
#   $1 an empty folder, $2 units, $3 programs, $4 a .NET, $5 an application
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root

# As in a container: these are the machine's, and units that would change them see that.
mount -t proc proc proc
mount --bind -o ro proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp

rm -rf etc/systemd/system/* usr/lib/systemd/system/*.target.wants
mkdir -p run/systemd/system usr/lib/ancm usr/share/dotnet srv/app
cp "$2"/* run/systemd/system/
mount --bind "$3" usr/lib/ancm
mount --bind "$4" usr/share/dotnet
mount --bind "$5" srv/app
ln -sf /usr/lib/ancm/ancm usr/bin/ancm

pivot_root . mnt
umount -l /mnt
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=test.target --log-target=journal --show-status=no
