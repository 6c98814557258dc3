// SPDX-License-Identifier: Apache-2.0
#include "ops/all.h"

#include "ops/attention.h"
#include "ops/bitcast.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/fused_conv.h"
#include "ops/fused_matmul.h"
#include "ops/gather.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/pool.h"
#include "ops/reduce.h"
#include "ops/region.h"
#include "ops/resize.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "ops/views.h"

namespace tutti {
namespace {

std::vector<OpDef> table() {
  std::vector<OpDef> ops = {
      // elements
      op_def<Cast>(),
      op_def<Bitcast>(),
      op_def<Constant>(),
      op_def<Full>(),
      op_def<Arange>(),

      // views and copies
      op_def<Reshape>(),
      op_def<Permute>(),
      op_def<Expand>(),
      op_def<Slice>(),
      op_def<Unfold>(),
      op_def<Concat>(),
      op_def<Pad>(),

      // reductions, norms, order
      op_def<Reduce>(),
      op_def<ArgReduce>(),
      op_def<Scan>(),
      op_def<Softmax>(),
      op_def<LayerNorm>(),
      op_def<RmsNorm>(),
      op_def<GroupNorm>(),
      op_def<TopK>(),

      // matrix products, convolution, windows
      op_def<Matmul>(),
      op_def<Conv>(),
      op_def<Pool>(),
      op_def<AdaptivePool>(),
      op_def<Resize>(),
      op_def<Attention>(),

      // between ranks
      op_def<AllReduce>(),
      op_def<AllGather>(),
      op_def<ReduceScatter>(),
      op_def<AllToAll>(),
      op_def<AllToAllV>(),
      op_def<Broadcast>(),
      op_def<ReduceTo>(),
      op_def<GatherTo>(),
      op_def<ScatterFrom>(),
      op_def<Send>(),
      op_def<Recv>(),
      op_def<RankInGroup>(),

      // made by compilation
      op_def<FusedMatmul>(),
      op_def<FusedConv>(),
      op_def<PackMatrix>(),
      op_def<WinogradWeights>(),
      op_def<Region>(),

      // indices
      op_def<Take>(),
      op_def<Gather>(),
      op_def<Index>(),
      op_def<IndexPut>(),
      op_def<Scatter>(),
      op_def<SliceUpdate>(),
  };
  for (int i = 0; i < elementwise_count(); ++i) {
    const ElementwiseInfo& row = info(static_cast<Elementwise>(i));
    ops.push_back({row.name, row.doc, &parse_op<ElementwiseOp>, {}});
  }
  return ops;
}

}  // namespace

std::span<const OpDef> all_ops() {
  static const std::vector<OpDef> kOps = table();
  return kOps;
}

Op make_op(std::string_view name, const Attributes& attributes) {
  for (const OpDef& def : all_ops())
    if (def.name == name) return def.parse(name, attributes);
  std::vector<std::string> names;
  for (const OpDef& def : all_ops()) names.emplace_back(def.name);
  fail(Errc::not_found, "operator ", name,
       " is not known; nearest: ", join_list(nearest_names(name, names)));
}

}  // namespace tutti
