#!/usr/bin/env bash
# Assembles in a folder the virtual machine that run.sh starts: a kernel of Debian's and an initramfs with busybox, the modules of a
# verbs stack without hardware (Soft-RoCE) and init. Needs no root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

# crc32_generic is what rdma_rxe does not ask for by name, and crc32_pclmul is slower where the processor is emulated.
readonly kModules="virtio_pci 9pnet_virtio 9p overlay crc32_generic rdma_rxe ib_uverbs rdma_ucm veth dummy sch_netem"

# Most of the kernel's package, and far from what these modules need.
readonly kLeftOut=(./usr/share "./boot/System.map-*" "*/drivers/"{gpu,hwmon,iio,media,mtd,scsi,staging,usb,infiniband/hw,net/ethernet,net/wireless}
  "*/kernel/sound")

usage() {
  cat <<'END_OF_USAGE'
usage: prepare.sh FOLDER

Downloads a kernel package and busybox with apt-get and makes FOLDER/kernel and FOLDER/initramfs of them (20 seconds, 300 MB of disk meanwhile,
70 MB after it). What is there and current is left as it is.

variables: VERBS_KERNEL, the package that names the kernel's (linux-image-amd64)
END_OF_USAGE
}

fail() {
  echo "prepare.sh: $*" >&2
  exit 1
}

# The kernel's package has the kernel's version in its name, so that each update has another one.
kernel_package() {
  case $1 in
    linux-image-[0-9]*.*.*-*) echo "$1" ;;
    *) { apt-cache depends "$1" 2>/dev/null || true; } | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' ;;
  esac
}

# What it is made of: the versions that apt would install now, and these scripts.
describe() { # PACKAGE...
  (($# == 0)) || apt-cache policy "$@" | grep -E '^[a-z]|Candidate'
  cat "$here/prepare.sh" "$here/init" | sha256sum
}

download() { # PACKAGE...
  apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User= download "$@" >download.log 2>&1 && return
  tail -n 5 download.log >&2
  fail "apt-get cannot download $*: check the network; or, where the lists of packages are old, run 'apt-get update' (as root)"
}

# What a compressed kernel unpacks: where the processor is emulated, it takes 5 s to do so by itself.
unpacked_kernel() { # FILE
  local setup offset length
  number() { od -An -v "-tu$3" -j "$(($2))" -N "$3" "$1" | tr -d ' '; }
  setup=$(number "$1" 0x1f1 1) offset=$(number "$1" 0x248 4) length=$(number "$1" 0x24c 4)
  dd if="$1" iflag=skip_bytes,count_bytes skip=$(((setup + 1) * 512 + offset)) count=$((length - 4)) bs=64K status=none | xz -dc 2>/dev/null
}

# insmod's order, dependencies first.
collect_modules() { # VERSION
  local module file name
  for module in $kModules; do
    modprobe -C /dev/null -d "$PWD" -S "$1" --show-depends "$module" || fail "the kernel $1 has no module $module"
  done | sed -n 's/^insmod \(.*[^ ]\) *$/\1/p' | awk '!seen[$0]++' >modules
  while read -r file; do
    name=${file##*/}
    case $name in
      *.xz) name=${name%.xz} && xz -dc "$file" >"root/modules/$name" ;;
      *) cp "$file" root/modules/ ;;
    esac
    echo "$name" >>root/modules/order
  done <modules
}

assemble() { # KERNEL_PACKAGE
  local version=${1#linux-image-} package
  download "$1" busybox-static
  for package in ./*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x "${kLeftOut[@]/#/--exclude=}"; done
  [[ -e lib ]] || ln -s usr/lib lib
  depmod -b "$PWD" "$version"
  mkdir -p root/{bin,modules,dev,proc,sys,host,changes,new}
  cp bin/busybox root/bin/
  cp "$here/init" root/init
  chmod +x root/init
  collect_modules "$version"
  (cd root && find . | bin/busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initramfs
  unpacked_kernel "boot/vmlinuz-$version" >kernel || cp "boot/vmlinuz-$version" kernel
}

[[ ${1:-} != -h && ${1:-} != --help ]] || { usage; exit; }
(($# == 1)) || { usage >&2; fail "one folder, not $# arguments"; }
[[ $(uname -m) == x86_64 ]] || fail "the virtual machine is one of x86_64, not of $(uname -m)"
for program in apt-get apt-cache dpkg-deb flock xz; do
  command -v $program >/dev/null || fail "the program '$program' is not here: this needs Debian"
done
for program in depmod modprobe; do command -v $program >/dev/null || fail "$program is not installed (package kmod; ./dev test-verbs installs it)"; done
mkdir -p "$1" 2>/dev/null || fail "cannot make the folder $1"
[[ -w $1 ]] || fail "cannot write to the folder $1"
cd "$1"
exec 9>lock
flock 9

wanted=${VERBS_KERNEL:-linux-image-amd64}
kernel=$(kernel_package "$wanted")
if [[ -z $kernel ]]; then
  # Lists of packages are missing in many containers; what was made with them is still good.
  if [[ -z ${VERBS_KERNEL:-} && -s made_of && $(tail -n 1 made_of) == "$(describe)" ]]; then exit; fi
  fail "apt knows no kernel package by $wanted: 'apt-get update' (as root) fetches the lists"
fi
describe "$kernel" busybox-static >wanted
if [[ -s made_of ]] && cmp -s wanted made_of; then exit; fi
[[ $(df --output=avail -k . | tail -n 1) -ge 500000 ]] || fail "less than 500 MB of disk are left for $PWD"

echo "Assembling a virtual machine of $kernel in $PWD"
rm -rf parts
trap 'rm -rf parts' EXIT
mkdir parts
(cd parts; assemble "$kernel")  # no "||": it would take the meaning of set -e away
rm -f made_of
mv parts/kernel parts/initramfs .
mv wanted made_of  # last: without it the folder counts as incomplete
