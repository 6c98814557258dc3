// SPDX-License-Identifier: Apache-2.0
#include "compile/share_work.h"

#include "core/log.h"
#include "shard/localize.h"

namespace tutti {

SharedWork share_work(Program& program, Function network) {
  network.remove_dead();
  SharedWork work{
      std::move(network), shard::ways_of({shard::Mesh::parse(program.mesh), program.context}), {}};
  work.placements = shard::shard(work.network, work.ways, program.states);
  if (const shard::AxisSet idle = shard::idle_axes(work.network, work.ways.mesh, work.placements))
    log(LogLevel::warning, "mesh ", program.mesh, ": nothing of the network is split along ",
        work.ways.mesh.text(idle), "; those ranks all compute the same");
  program.states = work.placements.states;
  return work;
}

Compilation part_of(const SharedWork& work, Program& program, const CompileOptions& options) {
  auto [function, rounds] =
      shard::localize(work.network, work.ways.mesh, work.placements, options.rank);
  Compilation part{program, std::move(function), options};
  lower_collectives(part);
  merge_collectives(part.function, rounds);
  for (const auto& [resident, placement] : program.states)
    part.parts.emplace(resident, local_type(program, resident, options.rank));
  return part;
}

}  // namespace tutti
