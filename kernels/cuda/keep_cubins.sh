#!/bin/sh
# Compiler launcher for nvcc: `keep_cubins.sh nvcc ... -o FILE.o ...` runs the command, and leaves
# the machine code of each architecture, which is also in FILE.o, in FILE.o.cubins/*.cubin, for
# tests/gate. The compiler writes them anyway, to where it else deletes them.
object=
previous=
for argument; do
  [ "$previous" = -o ] && object=$argument
  previous=$argument
done
case $object in
  *.o) ;;
  *) exec "$@" ;; # no compilation
esac

rm -rf "$object.keep" "$object.cubins"
mkdir -p "$object.keep"
"$@" -keep -keep-dir "$object.keep"
status=$?
if [ $status = 0 ]; then
  mkdir "$object.cubins"
  mv "$object.keep"/*.cubin "$object.cubins"
fi
rm -rf "$object.keep"
exit $status
