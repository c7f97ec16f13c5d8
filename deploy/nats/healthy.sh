#!/bin/sh
# The health check of the NATS container: exit code 0 when every stream can be written.
#
# A stream that met a full disk takes nothing more until the server is started again, however much room there is later
# (2.15). So a server that works but for that, twice in a row and with room on its disk, is ended; Docker starts it again.
health=http://127.0.0.1:8222/healthz
seen=/tmp/stuck
store=/var/lib/genonaut/nats
room_kb=16384

if wget -qO /dev/null "$health"; then
  rm -f "$seen"
  exit 0
fi
if wget -qO /dev/null "$health?js-enabled-only=true" && [ "$(df -Pk "$store" | awk 'NR == 2 {print $4}')" -gt "$room_kb" ]; then
  if [ -e "$seen" ]; then
    echo "a stream cannot be written: starting again"
    rm -f "$seen"
    kill -TERM 1
  else
    touch "$seen"
  fi
fi
exit 1
