// SPDX-License-Identifier: Apache-2.0
#include "compile/pass.h"
#include "shard/localize.h"

namespace tutti {

bool shard_function(Compilation& c) {
  if (!c.options.strategy) return false;
  const shard::Ways ways = shard::ways_of(*c.options.strategy);
  if (ways.mesh.size() == 1) return false;
  c.function.remove_dead();
  const shard::Placements placements = shard::shard(c.function, ways);
  c.function = shard::localize(c.function, ways.mesh, placements, c.options.rank);
  return true;
}

}  // namespace tutti
