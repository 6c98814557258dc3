// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/gemm_prepare.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace tutti::cpu {

namespace {

constexpr int64_t kBlockK = 512;
constexpr int64_t kMostK = 1024;               // up to this k is not cut
constexpr int64_t kBlockColumns = 256;         // block_k x this many floats of B: half a megabyte
constexpr int64_t kBlockRowFloats = 72 << 10;  // of A: 288 KiB of the second-level cache
constexpr int64_t kPartialColumns = 4096;      // of sums carried from one block of k to the next
constexpr int64_t kCopiedBlockRows = 504;
constexpr int64_t kFewRows = 28;          // with fewer, B is read in place rather than packed
constexpr int64_t kNearBytes = 1 << 20;   // more of B or C is not in the second-level cache
constexpr int64_t kMostPacked = 1 << 25;  // floats of B packed before the first task
constexpr int64_t kManyPanels = 12;       // from here on interleaved copies of A pay
constexpr double kLeastCost = 1500;  // cycles or so below which a task is not worth handing out
constexpr int kTasksPerThread = 4;

bool is_stored_float(DType t) { return t == DType::f32 || t == DType::bf16 || t == DType::f16; }

void check_type(DType t, bool f64, const char* what) {
  require(f64 ? t == DType::f64 : is_stored_float(t), Errc::unsupported, what,
          " of a matrix product is ", to_string(t), ": wanted ",
          f64 ? "f64 as A is" : "f32, bf16 or f16");
}

void check(const GemmProblem& problem, int threads) {
  require_argument(problem.m >= 0 && problem.n >= 0 && problem.k >= 0,
                   "a matrix product of m = ", problem.m, ", n = ", problem.n, ", k = ", problem.k,
                   ": sizes are at least 0");
  for (int64_t extent : problem.batch) {
    require_argument(extent >= 0, "a matrix product with a batch of ", extent);
  }
  require_argument(threads >= 1, "a matrix product for ", threads, " threads");
  const bool f64 = problem.a.dtype == DType::f64;
  check_type(problem.a.dtype, f64, "A");
  check_type(problem.b.dtype, f64, "B");
  int64_t columns = 0;
  for (const GemmOutput& output : problem.outputs) {
    check_type(output.layout.dtype, f64, "an output");
    require_argument(output.columns >= 0, "an output of ", output.columns, " columns");
    require_argument(output.post_ops.size() <= kMaxPostOps, "an output with ",
                     output.post_ops.size(), " post-ops: at most ", kMaxPostOps);
    for (const PostOp& op : output.post_ops) {
      if (op.kind == PostOp::Kind::add || op.kind == PostOp::Kind::multiply) {
        check_type(op.layout.dtype, f64, "an operand");
      }
      if (op.kind == PostOp::Kind::round) {
        require(!f64 && (op.dtype == DType::bf16 || op.dtype == DType::f16), Errc::unsupported,
                "a matrix product rounds to ", to_string(op.dtype),
                ": wanted bf16 or f16 and f32 sums");
      }
    }
    columns += output.columns;
  }
  require_argument(columns == problem.n, "outputs have ", columns, " columns, the product ",
                   problem.n);
}

/// Every layout with a row stride and batch strides that follows the rows of the output.
template <class F>
bool all_rows(GemmProblem& problem, const F& f) {
  bool all = f(problem.a);
  for (GemmOutput& output : problem.outputs) {
    all = all && f(output.layout);
    for (PostOp& op : output.post_ops) all = all && f(op.layout);
  }
  return all;
}

/// Turns batch dimensions that only continue the rows into rows, when B is the same for all.
void fold_batch(GemmProblem& problem) {
  // Dimensions of extent 1 come first, so that the last one is the candidate.
  for (size_t i = 0, to = 0; i < kGemmBatchRank; ++i) {
    if (problem.batch[i] != 1) continue;
    const auto move = [&](MatrixLayout& layout) {
      BatchDims& s = layout.batch_strides;
      std::rotate(s.begin() + static_cast<int64_t>(to), s.begin() + static_cast<int64_t>(i),
                  s.begin() + static_cast<int64_t>(i) + 1);
      return true;
    };
    all_rows(problem, move);
    move(problem.b);
    std::rotate(problem.batch.begin() + static_cast<int64_t>(to),
                problem.batch.begin() + static_cast<int64_t>(i),
                problem.batch.begin() + static_cast<int64_t>(i) + 1);
    ++to;
  }
  for (size_t turn = 0; turn < kGemmBatchRank; ++turn) {
    const size_t last = kGemmBatchRank - 1;
    const int64_t extent = problem.batch[last];
    if (extent == 1 || problem.b.batch_strides[last] != 0) return;
    const int64_t m = problem.m;
    if (m == 1) {
      all_rows(problem, [&](MatrixLayout& layout) {
        layout.row_stride = layout.batch_strides[last];
        return true;
      });
    } else if (!all_rows(problem, [&](MatrixLayout& layout) {
                 return layout.batch_strides[last] == m * layout.row_stride;
               })) {
      return;
    }
    problem.m *= extent;
    const auto shift = [&](MatrixLayout& layout) {
      BatchDims& s = layout.batch_strides;
      std::rotate(s.begin(), s.begin() + static_cast<int64_t>(last), s.end());
      s[0] = 0;
      return true;
    };
    all_rows(problem, shift);
    shift(problem.b);
    std::rotate(problem.batch.begin(), problem.batch.begin() + static_cast<int64_t>(last),
                problem.batch.end());
    problem.batch[0] = 1;
  }
}

/// Whether the rows of a tile would fall on few sets of the first-level cache.
bool rows_collide(int64_t row_stride) { return row_stride * 4 % 2048 == 0; }

/// Rough cycles of one task of `rows` x `panels`.
double task_cost(const GemmRecipe& recipe, int64_t rows, int64_t panels) {
  const double k = static_cast<double>(recipe.problem.k);
  const double tiles = static_cast<double>((rows + recipe.tile_rows - 1) / recipe.tile_rows);
  const double height = static_cast<double>(rows);
  // A kernel has at least 8 cycles of latency and loads for each k, and a fixed cost.
  const double kernels = std::max(2 * height, 6 * tiles) * (k + 8) + 40 * tiles;
  double cost = kernels * static_cast<double>(panels);
  if (recipe.copy_a != nullptr) cost += height * k * recipe.a_cost;
  if (recipe.b_source == BSource::copied) cost += recipe.b_cost * k * static_cast<double>(panels);
  return cost + 300;
}

void split_into_tasks(GemmRecipe& recipe) {
  recipe.row_tasks = recipe.panel_tasks = 1;
  if (recipe.threads == 1 || recipe.batches == 0) return;
  const int64_t m = recipe.problem.m;
  const double whole = task_cost(recipe, m, recipe.panels) * static_cast<double>(recipe.batches);
  const int64_t wanted = std::min<int64_t>(static_cast<int64_t>(whole / kLeastCost),
                                           int64_t{recipe.threads} * kTasksPerThread);
  const int64_t splits = (wanted + recipe.batches - 1) / recipe.batches;
  if (splits <= 1) return;
  const int64_t most_rows = std::max<int64_t>(1, (m + 3) / 4);
  double best = whole;
  for (int64_t rows = 1; rows <= std::min(splits, most_rows); ++rows) {
    for (int64_t panels = 1; panels <= std::min((splits + rows - 1) / rows, recipe.panels);
         ++panels) {
      const double cost =
          task_cost(recipe, (m + rows - 1) / rows, (recipe.panels + panels - 1) / panels);
      const int64_t tasks = rows * panels * recipe.batches;
      const int64_t turns = (tasks + recipe.threads - 1) / recipe.threads;
      if (cost * static_cast<double>(turns) < best * 0.999) {
        best = cost * static_cast<double>(turns);
        recipe.row_tasks = rows;
        recipe.panel_tasks = panels;
      }
    }
  }
}

size_t whole_lines(int64_t floats) { return static_cast<size_t>((floats + 15) / 16 * 16); }

/// How often the tasks of one matrix pack each panel of B.
int64_t copies_of_b(const GemmRecipe& recipe) {
  if (recipe.b_source != BSource::copied) return 0;
  const int64_t rows = (recipe.problem.m + recipe.row_tasks - 1) / recipe.row_tasks;
  const bool again = recipe.block_k < recipe.problem.k;
  return recipe.row_tasks * (again ? (rows + recipe.block_rows - 1) / recipe.block_rows : 1);
}

/// Gives B a layout in scratch memory, one packed matrix for each that differs.
void pack_b_first(GemmRecipe& recipe) {
  GemmProblem& problem = recipe.problem;
  const int64_t matrix = recipe.panels * recipe.width * problem.k;
  BatchDims strides{};
  int64_t matrices = 1;
  for (size_t i = kGemmBatchRank; i-- > 0;) {
    if (problem.b.batch_strides[i] == 0 || problem.batch[i] == 1) continue;
    strides[i] = matrices * matrix;
    matrices *= problem.batch[i];
  }
  if (matrices * matrix > kMostPacked) return;
  problem.b = {DType::f32, 0, 1, strides};
  recipe.b_source = BSource::packed;
  recipe.packed_matrices = matrices;
  recipe.packed_floats = whole_lines(matrices * matrix);
}

void plan_f64(GemmRecipe& recipe) {
  recipe.panel_tasks = recipe.panels;
  if (recipe.b_source != BSource::packed) {
    recipe.b_floats = whole_lines(2 * recipe.problem.k * recipe.width);
  }
}

/// Where B comes from, and whether A is copied.
void choose_sources(GemmRecipe& recipe, const GemmKernels& kernels, const GemmSource& source) {
  const GemmProblem& problem = recipe.problem;
  recipe.b_source = BSource::copied;
  if (problem.b_packed) {
    recipe.b_source = BSource::packed;
  } else if (problem.b.col_stride == 1 && problem.m <= kFewRows && source.copy_b == nullptr) {
    recipe.b_source = BSource::strided;
  }
  recipe.copy_b = source.copy_b != nullptr ? source.copy_b : kernels.copy_b;
  if (source.copy_b != nullptr) recipe.b_cost = source.cost;
  const bool reread = recipe.panels > 1 && problem.k >= 32 && problem.m > 4;
  if (source.copy_a != nullptr) {
    recipe.copy_a = source.copy_a;
    recipe.a_cost = source.cost;
  } else if (problem.a.dtype != DType::f32 || problem.a.col_stride != 1 ||
             (reread && rows_collide(problem.a.row_stride))) {
    recipe.copy_a = kernels.copy_a;
  }
}

void describe_outputs(GemmRecipe& recipe) {
  recipe.first_columns.push_back(0);
  for (const GemmOutput& output : recipe.problem.outputs) {
    recipe.first_columns.push_back(recipe.first_columns.back() + output.columns);
    const bool bias = !output.post_ops.empty() && output.post_ops[0].kind == PostOp::Kind::add &&
                      output.post_ops[0].layout.dtype == DType::f32 &&
                      output.post_ops[0].layout.row_stride == 0 &&
                      output.post_ops[0].layout.col_stride == 1;
    recipe.kernel_adds_bias.push_back(bias && recipe.finish == nullptr);
  }
}

/// How kernels go through tasks of `rows` x `panels`.
void choose_tiles(GemmRecipe& recipe, int64_t rows, int64_t panels) {
  const GemmProblem& problem = recipe.problem;
  // Fetching what the second-level cache holds already would only cost.
  recipe.fetch_c = problem.m * problem.n * 4 > kNearBytes && problem.k >= 128;
  const int64_t b_bytes = panels * recipe.width * recipe.block_k * 4;
  const bool packed = recipe.b_source == BSource::packed;
  recipe.interleave = packed && (b_bytes > kNearBytes || panels >= kManyPanels) &&
                      rows > 2 * recipe.tile_rows && problem.a.col_stride == 1;
  const bool collide = problem.a.dtype == DType::f32 && problem.a.col_stride == 1 &&
                       recipe.copy_a == gemm_kernels(recipe.isa).copy_a;
  // Low tiles read A once for two panels, and their few rows do not collide.
  recipe.pairs =
      packed && collide && !recipe.interleave && panels >= 2 && recipe.isa == Isa::avx512;
  if (collide && (recipe.interleave || recipe.pairs)) {
    recipe.copy_a = nullptr;
    recipe.a_floats = 0;
  }
  if (recipe.interleave) {
    recipe.a_floats = whole_lines(recipe.block_rows * recipe.block_k +
                                  recipe.tile_rows * (recipe.block_k + 16) + 32);
  }
}

void plan_tasks(GemmRecipe& recipe) {
  const GemmProblem& problem = recipe.problem;
  split_into_tasks(recipe);
  const int64_t rows = (problem.m + recipe.row_tasks - 1) / recipe.row_tasks;
  const int64_t panels = (recipe.panels + recipe.panel_tasks - 1) / recipe.panel_tasks;
  int64_t k_blocks = 1;
  if (problem.k > kMostK) k_blocks = (problem.k + kBlockK - 1) / kBlockK;
  recipe.block_k = std::max<int64_t>((problem.k + k_blocks - 1) / k_blocks, 1);
  recipe.block_panels = std::max<int64_t>(panels, 1);
  if (recipe.b_source == BSource::copied || k_blocks > 1) {
    const int64_t columns = recipe.b_source == BSource::copied ? kBlockColumns : kPartialColumns;
    recipe.block_panels = std::min(recipe.block_panels, columns / recipe.width);
  }
  const int64_t tile_rows = recipe.tile_rows;
  int64_t block_rows = kBlockRowFloats / recipe.block_k / tile_rows * tile_rows;
  // Copies of B are made anew for each block of rows.
  if (recipe.b_source == BSource::copied) block_rows = std::max(block_rows, kCopiedBlockRows);
  recipe.block_rows = std::clamp<int64_t>(rows, 1, std::max(block_rows, 2 * tile_rows));
  recipe.partial_floats = recipe.a_floats = recipe.b_floats = 0;
  if (k_blocks > 1) {
    recipe.partial_floats = whole_lines(recipe.block_rows * recipe.block_panels * recipe.width);
  }
  if (recipe.copy_a != nullptr) {
    recipe.a_floats = whole_lines(recipe.block_rows * (recipe.block_k + 16));
  }
  choose_tiles(recipe, rows, panels);
  const int64_t copied = recipe.b_source == BSource::copied    ? recipe.block_panels
                         : recipe.b_source == BSource::strided ? 1
                                                               : 0;
  recipe.b_floats = whole_lines(copied * recipe.block_k * recipe.width);
}

}  // namespace

GemmRecipe prepare_gemm(const GemmProblem& given, int threads, Isa isa, const GemmSource& source) {
  check(given, threads);
  require(is_supported(isa), Errc::unsupported, "this machine does not run ", to_string(isa));
  const GemmKernels& kernels = gemm_kernels(isa);
  const bool made = source.copy_a || source.copy_b || source.finish;
  GemmRecipe recipe;
  recipe.problem = given;
  if (!made) fold_batch(recipe.problem);
  const GemmProblem& problem = recipe.problem;
  const bool f64 = problem.a.dtype == DType::f64;
  recipe.given_b = problem.b;
  recipe.isa = isa;
  recipe.threads = threads;
  recipe.width = f64 ? kernels.width / 2 : kernels.width;
  recipe.tile_rows = kernels.tile_rows;
  recipe.batches =
      std::accumulate(problem.batch.begin(), problem.batch.end(), int64_t{1}, std::multiplies<>());
  recipe.panels = (problem.n + recipe.width - 1) / recipe.width;
  if (problem.m == 0 || problem.n == 0) recipe.batches = 0;
  recipe.finish = source.finish;
  describe_outputs(recipe);
  choose_sources(recipe, kernels, source);
  if (f64) {
    plan_f64(recipe);
    return recipe;
  }
  plan_tasks(recipe);
  if (!made && copies_of_b(recipe) > 1) {
    pack_b_first(recipe);
    plan_tasks(recipe);
  }
  return recipe;
}

size_t scratch_bytes(const GemmRecipe& recipe) {
  const size_t threads = static_cast<size_t>(recipe.threads);
  return (recipe.packed_floats + recipe.thread_floats() * threads) * sizeof(float);
}

}  // namespace tutti::cpu
