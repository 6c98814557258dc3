// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/dnnl_matmul.h"

#include <algorithm>
#include <atomic>
#include <string_view>

#include "core/error.h"
#include "core/text.h"
#include "device/cpu/dnnl_support.h"
#include "device/cpu/gemm_recipe.h"
#include "device/cpu/packed_matrix.h"

namespace tutti::cpu {

namespace {

using namespace dnnl_support;
using dnnl::memory;
using dnnl::primitive_attr;

constexpr int64_t kLeastRows = 8;         // of a block, where rows are cut for several threads
constexpr int64_t kLeastColumns = 64;     // and of columns
constexpr double kLeastProducts = 50000;  // multiply-adds below which a task is not handed out

// Version 2 makes it in two steps.
template <class Matmul = dnnl::matmul>
auto describe(const memory::desc& a, const memory::desc& b, const memory::desc* bias,
              const memory::desc& c, const primitive_attr& attr) {
  using Description = typename Matmul::primitive_desc;
  if constexpr (requires { typename Matmul::desc; }) {
    using Problem = typename Matmul::desc;
    return Description(bias ? Problem(a, b, *bias, c) : Problem(a, b, c), attr, engine());
  } else {
    return bias ? Description(engine(), a, b, *bias, c, attr)
                : Description(engine(), a, b, c, attr);
  }
}

bool has_operand(const PostOp& op) {
  return op.kind == PostOp::Kind::add || op.kind == PostOp::Kind::multiply;
}

bool is_row(const PostOp& op) { return op.layout.row_stride == 0; }

// oneDNN takes the first of all additions apart.
bool starts_with_bias(const GemmOutput& output) {
  return !output.post_ops.empty() && output.post_ops[0].kind == PostOp::Kind::add &&
         is_row(output.post_ops[0]);
}

// A matrix with one stride of 1, the other without overlap; or nothing. Strides of single rows
// and columns do not matter.
std::optional<memory::desc> matrix(int64_t rows, int64_t columns, const MatrixLayout& layout) {
  int64_t row = layout.row_stride, column = layout.col_stride;
  if (columns == 1) column = row == 1 ? rows : 1;
  if (rows == 1) row = column == 1 ? columns : 1;
  if (!(column == 1 && row >= columns) && !(row == 1 && column >= rows)) return std::nullopt;
  return memory::desc({rows, columns}, memory::data_type::f32, {row, column});
}

std::optional<memory::desc> packed_matrix(int64_t k, int64_t columns, int width) {
  using Tag = memory::format_tag;
  const Tag tag = width == 16   ? Tag::BA16a16b
                  : width == 32 ? Tag::BA16a32b
                  : width == 48 ? Tag::BA16a48b
                  : width == 64 ? Tag::BA16a64b
                                : Tag::undef;
  // What oneDNN pads it also writes to, even where it only reads.
  if (tag == Tag::undef || k % 16 != 0 || columns % width != 0) return std::nullopt;
  return memory::desc({k, columns}, memory::data_type::f32, tag);
}

bool takes(const GemmProblem& problem) {
  const auto is_f32 = [](const MatrixLayout& layout) { return layout.dtype == DType::f32; };
  if (problem.k == 0 || !is_f32(problem.a) || !is_f32(problem.b)) return false;
  for (const GemmOutput& output : problem.outputs) {
    if (!is_f32(output.layout) || output.layout.col_stride != 1) return false;
    for (const PostOp& op : output.post_ops) {
      if (op.kind == PostOp::Kind::round) return false;
      if (op.kind == PostOp::Kind::unary && !eltwise(op.unary)) return false;
      if (!has_operand(op)) continue;
      const bool alike = op.layout.row_stride == output.layout.row_stride || problem.m == 1;
      if (!is_f32(op.layout) || op.layout.col_stride != 1 || !(alike || is_row(op))) return false;
    }
  }
  return true;
}

// One size of blocks of one output. Slots: A, B, C, scratch, then the operands in order.
struct Variant {
  size_t output;
  int64_t rows;
  int64_t columns;
  dnnl::matmul primitive;
  std::vector<Slot> slots;
};

struct ColumnBlock {
  size_t output;
  int64_t column;  // of the output
  int64_t columns;
  size_t variants[2];  // for blocks of rows of the usual height, and the last one
};

const float* offset(const void* base, int64_t elements) {
  return static_cast<const float*>(base) + elements;
}

}  // namespace

struct DnnlMatmul::State {
  GemmProblem problem;
  int threads = 1;
  int width = 0;  // of packed panels
  int64_t batches = 1;
  int64_t row_blocks = 1;
  int64_t block_rows = 0;
  std::vector<int64_t> first_columns;  // of outputs
  std::vector<ColumnBlock> columns;
  std::vector<Variant> variants;
  std::vector<std::vector<Call>> calls;  // by thread, then variant
  std::vector<dnnl::stream> streams;     // by thread
  size_t scratch_bytes = 0;              // of one thread

  bool make_blocks();
  std::optional<size_t> variant(size_t output, int64_t rows, int64_t columns);
  primitive_attr attributes(Variant& v) const;
  void make_calls();
  bool run_task(const GemmArgs& args, char* scratch, int64_t number, size_t thread);
};

// Cuts rows until every thread has a block, or columns where there is one row: parts of several
// rows do not lie densely, and for those oneDNN has slow loops only.
bool DnnlMatmul::State::make_blocks() {
  const double products = static_cast<double>(problem.m) * static_cast<double>(problem.n) *
                          static_cast<double>(problem.k);
  const int64_t tasks = std::clamp<int64_t>(static_cast<int64_t>(products / kLeastProducts), 1,
                                            (threads + batches - 1) / batches);
  row_blocks = std::clamp<int64_t>(problem.m / kLeastRows, 1, tasks);
  block_rows = (problem.m + row_blocks - 1) / row_blocks;
  row_blocks = (problem.m + block_rows - 1) / block_rows;
  const int64_t last_rows = problem.m - (row_blocks - 1) * block_rows;
  const int64_t cuts = problem.m == 1 ? tasks : 1;
  const int64_t step =
      (problem.n + cuts * kLeastColumns - 1) / (cuts * kLeastColumns) * kLeastColumns;
  int64_t first = 0;
  for (size_t o = 0; o < problem.outputs.size(); ++o) {
    const int64_t all = problem.outputs[o].columns;
    first_columns.push_back(first);
    first += all;
    for (int64_t column = 0; column < all; column += step) {
      ColumnBlock block{o, column, std::min(step, all - column), {}};
      for (int i = 0; i < 2; ++i) {
        const auto found = variant(o, i == 0 ? block_rows : last_rows, block.columns);
        if (!found) return false;
        block.variants[i] = *found;
      }
      columns.push_back(block);
    }
  }
  return true;
}

primitive_attr DnnlMatmul::State::attributes(Variant& v) const {
  dnnl::post_ops list;
  const GemmOutput& output = problem.outputs[v.output];
  const size_t first = starts_with_bias(output) ? 1 : 0;
  for (size_t i = first; i < output.post_ops.size(); ++i) {
    const PostOp& op = output.post_ops[i];
    const int position = static_cast<int>(i - first);
    if (op.kind == PostOp::Kind::unary) {
      const auto [algorithm, alpha] = *eltwise(op.unary);
      append_eltwise(list, algorithm, alpha);
    } else if (op.kind == PostOp::Kind::scale) {
      append_eltwise(list, dnnl::algorithm::eltwise_linear, op.factor);
    } else {
      const int64_t rows = is_row(op) ? 1 : v.rows;
      const auto operand = matrix(rows, v.columns, op.layout);
      list.append_binary(
          op.kind == PostOp::Kind::add ? dnnl::algorithm::binary_add : dnnl::algorithm::binary_mul,
          *operand);
      v.slots.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(position) | DNNL_ARG_SRC_1, *operand});
    }
  }
  primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(list);
  return attr;
}

// The variant of that size, made when it is the first; nothing when oneDNN refuses it.
std::optional<size_t> DnnlMatmul::State::variant(size_t output, int64_t rows, int64_t columns) {
  for (size_t i = 0; i < variants.size(); ++i) {
    const Variant& v = variants[i];
    if (v.output == output && v.rows == rows && v.columns == columns) return i;
  }
  const GemmOutput& y = problem.outputs[output];
  const auto a = matrix(rows, problem.k, problem.a);
  const auto b = problem.b_packed ? packed_matrix(problem.k, columns, width)
                                  : matrix(problem.k, columns, problem.b);
  const auto c = matrix(rows, columns, y.layout);
  if (!a || !b || !c) return std::nullopt;
  const memory::desc bias({1, columns}, memory::data_type::f32, {columns, 1});
  Variant v{output, rows, columns, {}, {}};
  v.slots = {{DNNL_ARG_SRC, *a}, {DNNL_ARG_WEIGHTS, *b}, {DNNL_ARG_DST, *c}};
  v.slots.push_back({DNNL_ARG_SCRATCHPAD, {}});
  const bool with_bias = starts_with_bias(y);
  if (with_bias) v.slots.push_back({DNNL_ARG_BIAS, bias});
  const primitive_attr attr = attributes(v);
  const auto description = describe(*a, *b, with_bias ? &bias : nullptr, *c, attr);
  if (std::string_view(description.impl_info_str()).starts_with("ref")) return std::nullopt;
  v.slots[3].desc = description.scratchpad_desc();
  scratch_bytes = std::max(scratch_bytes, (v.slots[3].desc.get_size() + 63) / 64 * 64);
  v.primitive = dnnl::matmul(description);
  variants.push_back(std::move(v));
  return variants.size() - 1;
}

void DnnlMatmul::State::make_calls() {
  for (int thread = 0; thread < threads; ++thread) {
    streams.emplace_back(engine());
    auto& list = calls.emplace_back();
    for (const Variant& v : variants) list.emplace_back(v.slots);
  }
}

bool DnnlMatmul::State::run_task(const GemmArgs& args, char* scratch, int64_t number,
                                 size_t thread) {
  const auto count = static_cast<int64_t>(columns.size());
  const ColumnBlock& block = columns[static_cast<size_t>(number % count)];
  const int64_t row_block = number / count % row_blocks;
  int64_t rest = number / count / row_blocks;
  BatchDims index{};
  for (size_t i = kGemmBatchRank; i-- > 0;) {
    index[i] = rest % problem.batch[i];
    rest /= problem.batch[i];
  }
  const size_t v = block.variants[row_block + 1 == row_blocks ? 1 : 0];
  Call& call = calls[thread][v];
  const GemmOutput& output = problem.outputs[block.output];
  const int64_t row = row_block * block_rows;
  const int64_t column = first_columns[block.output] + block.column;
  const auto at = [&](const MatrixLayout& layout) {
    return batch_offset(index, layout.batch_strides) + row * layout.row_stride;
  };
  const int64_t b = batch_offset(index, problem.b.batch_strides) +
                    column * (problem.b_packed ? problem.k : problem.b.col_stride);
  bool good = call.set(0, offset(args.a, at(problem.a))) && call.set(1, offset(args.b, b)) &&
              call.set(2, offset(args.c[block.output], at(output.layout) + block.column)) &&
              call.set(3, scratch);
  size_t slot = 4;
  for (const PostOp& op : output.post_ops) {
    if (!has_operand(op)) continue;
    good =
        good && call.set(slot++, offset(args.operands[op.operand], at(op.layout) + block.column));
  }
  return good && dnnl_primitive_execute(variants[v].primitive.get(), streams[thread].get(),
                                        static_cast<int>(call.arguments.size()),
                                        call.arguments.data()) == dnnl_success;
}

std::string dnnl_version_text() {
  if (!usable()) return {};
  const auto* version = dnnl::version();
  return join(version->major, ".", version->minor, ".", version->patch);
}

bool dnnl_reads_packed(Isa isa, int64_t k, const std::vector<int64_t>& columns) {
  const int width = PackedLayout::of(isa, DType::f32).width;
  return usable() && std::all_of(columns.begin(), columns.end(),
                                 [&](int64_t n) { return packed_matrix(k, n, width).has_value(); });
}

std::optional<DnnlMatmul> DnnlMatmul::prepare(const GemmProblem& problem, int threads, Isa isa) {
  if (!usable() || !takes(problem)) return std::nullopt;
  auto state = std::make_unique<State>();
  state->problem = problem;
  state->threads = threads;
  state->width = PackedLayout::of(isa, DType::f32).width;
  for (int64_t extent : problem.batch) state->batches *= extent;
  if (problem.m == 0 || problem.n == 0) state->batches = 0;
  if (state->batches == 0) return DnnlMatmul(std::move(state));
  const OneThread guard;
  try {
    if (!state->make_blocks()) return std::nullopt;
    state->make_calls();
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
  return DnnlMatmul(std::move(state));
}

DnnlMatmul::DnnlMatmul(std::unique_ptr<State> state) : state_(std::move(state)) {}
DnnlMatmul::~DnnlMatmul() = default;
DnnlMatmul::DnnlMatmul(DnnlMatmul&&) noexcept = default;
DnnlMatmul& DnnlMatmul::operator=(DnnlMatmul&&) noexcept = default;

size_t DnnlMatmul::workspace_bytes() const {
  return state_->scratch_bytes * static_cast<size_t>(state_->threads);
}

void DnnlMatmul::run(const GemmArgs& args, void* workspace, Pool& pool) {
  State& s = *state_;
  require_argument(pool.threads() <= s.threads, "a pool of ", pool.threads(),
                   " threads runs a matrix product prepared for ", s.threads);
  std::atomic<bool> good{true};
  const int64_t tasks = s.batches * s.row_blocks * static_cast<int64_t>(s.columns.size());
  pool.parallel(tasks, [&](int64_t number, int thread) {
    const OneThread guard;
    char* scratch = static_cast<char*>(workspace) + static_cast<size_t>(thread) * s.scratch_bytes;
    if (!s.run_task(args, scratch, number, static_cast<size_t>(thread))) good = false;
  });
  require(good, Errc::internal, "oneDNN failed in a matrix product");
}

}  // namespace tutti::cpu
