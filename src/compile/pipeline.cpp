// SPDX-License-Identifier: Apache-2.0
#include "compile/pass.h"
#include "core/log.h"
#include "ir/verify.h"

namespace tutti {

std::span<const Pass> network_passes() {
  static constexpr Pass kPasses[] = {
      {"simplify", simplify},       {"fold_constants", fold_constants},
      {"share_equal", share_equal}, {"recognize_attention", recognize_attention},
      {"simplify", simplify},       {"classify_masks", classify_masks},
      {"share_heads", share_heads},
  };
  return kPasses;
}

std::span<const Pass> part_passes() {
  static constexpr Pass kPasses[] = {
      {"lower_collectives", lower_collectives},
      {"simplify", simplify},
      {"fold_constants", fold_constants},
      {"share_equal", share_equal},
      {"recognize_activations", recognize_activations},
      {"sink_reshapes", sink_reshapes},
      {"simplify", simplify},
      {"merge_matmuls", merge_matmuls},
      {"fuse_convs", fuse_convs},
      {"absorb_epilogues", absorb_epilogues},
      {"pack_weights", pack_weights},
      {"pack_conv_weights", pack_conv_weights},
      {"split_init", split_init},
      {"decompose", decompose},
      {"simplify", simplify},
      {"fuse", fuse},
      {"schedule", schedule},
  };
  return kPasses;
}

void run_passes(Compilation& c, std::span<const Pass> passes) {
  c.function.remove_dead();
  for (const Pass& pass : passes) {
    if (!pass.run(c)) continue;
    c.function.remove_dead();
    verify(c.program.graph, c.function, c.parts);
    log(LogLevel::debug, "pass ", pass.name, ": ", c.function.nodes.size(), " nodes");
  }
}

}  // namespace tutti
