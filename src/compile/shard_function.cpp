// SPDX-License-Identifier: Apache-2.0
#include "compile/pass.h"
#include "shard/localize.h"
#include "shard/shard.h"

namespace tutti {

bool shard_function(Compilation& c) {
  if (c.program.mesh.empty()) return false;
  const shard::Ways ways = shard::ways_of({shard::Mesh::parse(c.program.mesh), c.program.context});
  c.function.remove_dead();
  const shard::Placements placements = shard::shard(c.function, ways, c.program.states);
  c.program.states = placements.states;
  for (const auto& [resident, placement] : c.program.states)
    c.parts.emplace(resident, local_type(c.program, resident, c.options.rank));
  c.function = shard::localize(c.function, ways.mesh, placements, c.options.rank);
  return true;
}

}  // namespace tutti
