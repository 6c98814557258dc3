// SPDX-License-Identifier: Apache-2.0
#include "cli/mesh_options.h"

namespace tutti::cli {

std::vector<Option> with_mesh_options(std::vector<Option> options) {
  options.push_back({"--mesh", "AXES",
                     "ranks that share the work: tp=2,cp=4; tp splits heads and hidden\n"
                     "dimensions, cp the sequence, dp the batch"});
  options.push_back({"--cp", "WAY",
                     "how attention meets keys of other ranks: ulysses, ring, gather_kv, or\n"
                     "two with their sizes, ulysses:2,ring:2; ulysses when not given"});
  return options;
}

int read_mesh(const Arguments& arguments, BuildOptions& options) {
  options.mesh = arguments.value("--mesh");
  options.context = arguments.value("--cp", options.context);
  const bool splits_sequence = ("," + options.mesh).find(",cp=") != std::string::npos;
  if (arguments.has("--cp") && !splits_sequence)
    throw UsageError("option --cp is " + options.context + ", and " +
                     (options.mesh.empty() ? "there is no mesh" : "mesh " + options.mesh) +
                     "; an axis cp is wanted, as in --mesh cp=2");
  if (!arguments.has("--mesh")) return 0;
  if (options.mesh.empty()) throw UsageError("option --mesh is empty; tp=2,cp=4 is wanted");
  return mesh_size(options.mesh, options.context);
}

}  // namespace tutti::cli
