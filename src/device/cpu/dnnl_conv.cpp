// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/dnnl_conv.h"

#include <algorithm>
#include <atomic>
#include <string_view>

#include "core/error.h"
#include "device/cpu/dnnl_support.h"

namespace tutti::cpu {

namespace {

using namespace dnnl_support;
using dnnl::memory;

constexpr int64_t kLeastChannels = 16;  // of a task, where channels are shared out

bool reads(const PostOp& op) {
  return op.kind == PostOp::Kind::add || op.kind == PostOp::Kind::multiply;
}

// Descriptions of memory have no negative strides.
bool is_forward(const ImageLayout& layout) {
  const Spatial& s = layout.spatial_strides;
  return layout.channel_stride >= 0 && *std::min_element(s.begin(), s.end()) >= 0;
}

bool takes(const ConvProblem& p) {
  if (!is_forward(p.input) || !is_forward(p.output) || p.weight_strides[0] < 0 ||
      p.weight_strides[1] < 0)
    return false;
  if (p.transposed || p.winograd || p.weight_dtype != DType::f32 || p.in_channels == 0 ||
      p.input.dtype != DType::f32 || p.output.dtype != DType::f32)
    return false;
  return std::all_of(p.post_ops.begin(), p.post_ops.end(), [](const ConvPostOp& step) {
    if (step.op.kind == PostOp::Kind::round) return false;
    if (step.op.kind == PostOp::Kind::unary) return eltwise(step.op.unary).has_value();
    return !reads(step.op) || (step.operand.dtype == DType::f32 && is_forward(step.operand));
  });
}

// One number for each channel, added first: oneDNN takes it apart.
bool is_bias(const ConvProblem& p, size_t i) {
  if (i > 0 || p.post_ops.empty() || p.post_ops[0].op.kind != PostOp::Kind::add) return false;
  const ImageLayout& at = p.post_ops[0].operand;
  return at.channel_stride == 1 && at.image_stride == 0 && at.spatial_strides == Spatial{};
}

// Depth is left out where there is none: oneDNN has its best code for two dimensions.
bool is_flat(const ConvProblem& p) {
  return p.in_size[0] == 1 && p.kernel[0] == 1 && p.out_size[0] == 1 && p.padding[0] == 0;
}

template <class F>
memory::dims spatial(const ConvProblem& p, const F& f) {
  memory::dims list;
  for (size_t d = is_flat(p) ? 1 : 0; d < 3; ++d) list.push_back(f(d));
  return list;
}

memory::dims joined(memory::dims a, const memory::dims& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// `channels` of one image; a stride of 0 is an extent of 1. As dense as can be: the stride of
// images says nothing here.
memory::desc image(const ConvProblem& p, const ImageLayout& layout, int64_t channels,
                   const Spatial& size) {
  const auto extent = [](int64_t n, int64_t stride) { return stride == 0 ? int64_t{1} : n; };
  const auto stride = [](int64_t s) { return std::max<int64_t>(s, 1); };
  return memory::desc(
      joined({1, extent(channels, layout.channel_stride)},
             spatial(p, [&](size_t d) { return extent(size[d], layout.spatial_strides[d]); })),
      memory::data_type::f32,
      joined({stride(channels * layout.channel_stride), stride(layout.channel_stride)},
             spatial(p, [&](size_t d) { return stride(layout.spatial_strides[d]); })));
}

memory::desc weights(const ConvProblem& p, int64_t channels) {
  const int64_t in = p.in_channels / p.groups, out = channels / p.groups;
  const memory::dims kernel = spatial(p, [&](size_t d) { return p.kernel[d]; });
  memory::dims steps(kernel.size(), 1);
  for (size_t d = kernel.size() - 1; d-- > 0;) steps[d] = steps[d + 1] * kernel[d + 1];
  const memory::dims pair{p.weight_strides[0], p.weight_strides[1]};
  if (p.groups == 1)
    return {joined({out, in}, kernel), memory::data_type::f32, joined(pair, steps)};
  return {joined({p.groups, out, in}, kernel), memory::data_type::f32,
          joined({out * pair[0], pair[0], pair[1]}, steps)};
}

// Version 2 makes it in two steps.
template <class Conv = dnnl::convolution_forward>
auto describe(const ConvProblem& p, const memory::desc (&io)[4], bool with_bias,
              const dnnl::primitive_attr& attr) {
  using Description = typename Conv::primitive_desc;
  const auto kind = dnnl::prop_kind::forward_inference;
  const auto way = dnnl::algorithm::convolution_direct;
  const memory::dims stride = spatial(p, [&](size_t d) { return p.stride[d]; });
  const memory::dims dilation = spatial(p, [&](size_t d) { return p.dilation[d] - 1; });
  const memory::dims before = spatial(p, [&](size_t d) { return p.padding[d]; });
  const memory::dims after = spatial(p, [&](size_t d) {
    const int64_t reach = p.dilation[d] * (p.kernel[d] - 1) + 1;
    return (p.out_size[d] - 1) * p.stride[d] + reach - p.in_size[d] - p.padding[d];
  });
  const memory::desc& bias = io[2];
  if constexpr (requires { typename Conv::desc; }) {
    using Problem = typename Conv::desc;
    const Problem problem =
        with_bias ? Problem(kind, way, io[0], io[1], bias, io[3], stride, dilation, before, after)
                  : Problem(kind, way, io[0], io[1], io[3], stride, dilation, before, after);
    return Description(problem, attr, engine());
  } else {
    return with_bias ? Description(engine(), kind, way, io[0], io[1], bias, io[3], stride, dilation,
                                   before, after, attr)
                     : Description(engine(), kind, way, io[0], io[1], io[3], stride, dilation,
                                   before, after, attr);
  }
}

const float* offset(const void* base, int64_t elements) {
  return static_cast<const float*>(base) + elements;
}

}  // namespace

struct DnnlConv::State {
  // What computes some output channels of one image. Slots: input, weights, output, scratch, then
  // the operands in order.
  struct Variant {
    dnnl::convolution_forward primitive;
    std::vector<Slot> slots;
  };

  ConvProblem problem;
  int threads = 1;
  int64_t blocks = 1;                    // of output channels
  int64_t block_size = 0;                // channels of all blocks but the last
  Variant variants[2];                   // for blocks of the usual size, and the last one
  std::vector<std::vector<Call>> calls;  // by thread, then variant
  std::vector<dnnl::stream> streams;     // by thread
  size_t scratch_bytes = 0;              // of one thread

  bool make_variant(int64_t channels, Variant& v);
  dnnl::primitive_attr attributes(int64_t channels, Variant& v) const;
  bool run_task(const ConvArgs& args, char* scratch, int64_t number, size_t thread);
};

dnnl::primitive_attr DnnlConv::State::attributes(int64_t channels, Variant& v) const {
  dnnl::post_ops list;
  for (size_t i = 0; i < problem.post_ops.size(); ++i) {
    const ConvPostOp& step = problem.post_ops[i];
    if (is_bias(problem, i)) {
      const memory::desc bias({channels}, memory::data_type::f32, memory::format_tag::a);
      v.slots.push_back({DNNL_ARG_BIAS, bias});
    } else if (step.op.kind == PostOp::Kind::unary) {
      const auto [algorithm, alpha] = *eltwise(step.op.unary);
      append_eltwise(list, algorithm, alpha);
    } else if (step.op.kind == PostOp::Kind::scale) {
      append_eltwise(list, dnnl::algorithm::eltwise_linear, step.op.factor);
    } else {
      const bool add = step.op.kind == PostOp::Kind::add;
      const memory::desc operand = image(problem, step.operand, channels, problem.out_size);
      v.slots.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(list.len()) | DNNL_ARG_SRC_1, operand});
      list.append_binary(add ? dnnl::algorithm::binary_add : dnnl::algorithm::binary_mul, operand);
    }
  }
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(list);
  return attr;
}

bool DnnlConv::State::make_variant(int64_t channels, Variant& v) {
  const memory::desc io[4] = {image(problem, problem.input, problem.in_channels, problem.in_size),
                              weights(problem, channels),
                              {{channels}, memory::data_type::f32, memory::format_tag::a},
                              image(problem, problem.output, channels, problem.out_size)};
  v.slots = {{DNNL_ARG_SRC, io[0]}, {DNNL_ARG_WEIGHTS, io[1]}, {DNNL_ARG_DST, io[3]}};
  v.slots.push_back({DNNL_ARG_SCRATCHPAD, {}});
  const dnnl::primitive_attr attr = attributes(channels, v);
  const auto description = describe(problem, io, is_bias(problem, 0), attr);
  if (std::string_view(description.impl_info_str()).starts_with("ref")) return false;
  v.slots[3].desc = description.scratchpad_desc();
  scratch_bytes = std::max(scratch_bytes, (v.slots[3].desc.get_size() + 63) / 64 * 64);
  v.primitive = dnnl::convolution_forward(description);
  return true;
}

bool DnnlConv::State::run_task(const ConvArgs& args, char* scratch, int64_t number, size_t thread) {
  const int64_t block = number % blocks, index = number / blocks;
  const size_t v = block + 1 == blocks ? 1 : 0;
  Call& call = calls[thread][v];
  const auto at = [&](const ImageLayout& layout) {
    return index * layout.image_stride + block * block_size * layout.channel_stride;
  };
  bool good = call.set(0, offset(args.input, index * problem.input.image_stride)) &&
              call.set(1, offset(args.weights, block * block_size * problem.weight_strides[0])) &&
              call.set(2, offset(args.output, at(problem.output))) && call.set(3, scratch);
  size_t slot = 4;
  for (const ConvPostOp& step : problem.post_ops) {
    if (reads(step.op))
      good = good && call.set(slot++, offset(args.operands[step.op.operand], at(step.operand)));
  }
  return good && dnnl_primitive_execute(variants[v].primitive.get(), streams[thread].get(),
                                        static_cast<int>(call.arguments.size()),
                                        call.arguments.data()) == dnnl_success;
}

std::optional<DnnlConv> DnnlConv::prepare(const ConvProblem& problem, int threads) {
  if (!usable() || !takes(problem)) return std::nullopt;
  auto state = std::make_unique<State>();
  State& s = *state;
  s.problem = problem;
  s.threads = threads;
  const int64_t channels = problem.out_channels;
  s.block_size = channels;
  if (problem.groups == 1 && problem.images < threads) {
    const int64_t wanted = std::clamp<int64_t>(channels / kLeastChannels, 1, threads);
    s.block_size = (channels + wanted - 1) / wanted;
    s.blocks = (channels + s.block_size - 1) / s.block_size;
  }
  const OneThread guard;
  try {
    if (!s.make_variant(s.block_size, s.variants[0]) ||
        !s.make_variant(channels - (s.blocks - 1) * s.block_size, s.variants[1]))
      return std::nullopt;
    for (int thread = 0; thread < threads; ++thread) {
      s.streams.emplace_back(engine());
      s.calls.push_back({Call(s.variants[0].slots), Call(s.variants[1].slots)});
    }
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
  return DnnlConv(std::move(state));
}

DnnlConv::DnnlConv(std::unique_ptr<State> state) : state_(std::move(state)) {}
DnnlConv::~DnnlConv() = default;
DnnlConv::DnnlConv(DnnlConv&&) noexcept = default;
DnnlConv& DnnlConv::operator=(DnnlConv&&) noexcept = default;

size_t DnnlConv::workspace_bytes() const {
  return state_->scratch_bytes * static_cast<size_t>(state_->threads);
}

void DnnlConv::run(const ConvArgs& args, void* workspace, Pool& pool) {
  State& s = *state_;
  require_argument(pool.threads() <= s.threads, "a pool of ", pool.threads(),
                   " threads runs a convolution prepared for ", s.threads);
  std::atomic<bool> good{true};
  pool.parallel(s.problem.images * s.blocks, [&](int64_t number, int thread) {
    const OneThread guard;
    char* scratch = static_cast<char*>(workspace) + static_cast<size_t>(thread) * s.scratch_bytes;
    if (!s.run_task(args, scratch, number, static_cast<size_t>(thread))) good = false;
  });
  require(good, Errc::internal, "oneDNN failed in a convolution");
}

}  // namespace tutti::cpu
