// SPDX-License-Identifier: Apache-2.0
#include "cli/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/compare.h"
#include "cli/inputs.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 20;

// As --expect has it; where values have 8 or 11 bits, sums in another order differ in the last.
double usual_tolerance(const std::vector<LayerInfo>& values) {
  const bool rounded = std::any_of(values.begin(), values.end(), [](const LayerInfo& v) {
    return v.dtype == DType::bf16 || v.dtype == DType::f16;
  });
  return rounded ? 5e-2 : 5e-5;
}

size_t bytes_of(const LayerInfo& layer) {
  return static_cast<size_t>(elements(layer.shape)) * size_of(layer.dtype);
}

class Verifier {
 public:
  Verifier(const RankArguments& arguments, Communicator& ranks)
      : arguments_(arguments), ranks_(ranks) {}

  int run() {
    {
      Engine engine = Engine::build(arguments_.model(), options(1));
      inputs_ = arguments_.inputs(engine);
      shapes_ = shapes_of(inputs_, {});
      // Of the plan for these inputs, the last one made.
      values_ = engine.layers(engine.plans().size() - 1);
      for (const PortInfo& output : engine.outputs())
        if (output.present) outputs_.push_back(output.name);
    }
    for (size_t begin = 0; begin <= values_.size();) {
      const size_t end = end_of_piece(begin);
      const bool last = end == values_.size();
      // Rank 0 tells; that others end with it is no failure of theirs.
      if (!compare_piece(begin, end, last)) return ranks_.rank() == 0 ? 1 : 0;
      if (last) break;
      begin = end;
    }
    if (ranks_.rank() == 0)
      std::printf("all %zu values agree on %d ranks; largest error, relative: %s%s\n", compared_,
                  ranks_.size(), number_text(largest_).c_str(),
                  largest_at_.empty() ? "" : (", of " + largest_at_).c_str());
    return 0;
  }

 private:
  // Of one value on one rank.
  struct Verdict {
    double index = -1;  // of the first value that differs, below 0: none does
    double relative = 0, error = 0;
  };

  BuildOptions options(int ranks) const {
    BuildOptions options = arguments_.build_options();
    if (ranks > 1) return options;
    options.mesh.clear();
    options.per_rank_inputs = false;
    options.rank = -1;
    return options;
  }

  size_t end_of_piece(size_t begin) const {
    size_t bytes = 0, end = begin;
    while (end < values_.size() && (end == begin || bytes + bytes_of(values_[end]) <= kPieceBytes))
      bytes += bytes_of(values_[end++]);
    return end;
  }

  TensorMap run_with(BuildOptions options, size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) options.watch.push_back(values_[i].value);
    options.shapes = {shapes_};
    const Engine engine = Engine::build(arguments_.model(), options);
    Session session = engine.session(arguments_.threads());
    if (options.mesh.empty() || ranks_.size() == 1) return session.run(inputs_);
    session.bind(ranks_);
    TensorMap found = session.run(inputs_);
    ranks_.barrier("a piece");
    return found;
  }

  // False where a value differs on some rank.
  bool compare_piece(size_t begin, size_t end, bool last) {
    const TensorMap expected = run_with(options(1), begin, end);
    const TensorMap found = run_with(options(ranks_.size()), begin, end);
    Verdict own;
    for (size_t i = begin; i < end && own.index < 0; ++i)
      own = judge(i, values_[i].value, values_[i].scope, found, expected);
    for (size_t o = 0; last && o < outputs_.size() && own.index < 0; ++o)
      own = judge(end + o, outputs_[o], "output", found, expected);
    std::vector<double> all(3 * static_cast<size_t>(ranks_.size()));
    ranks_.run({.kind = comm::Kind::all_gather, .dtype = DType::f64, .count = 3, .label = "verify"},
               &own, all.data());
    const int first = first_rank(all);
    if (first < 0) return true;
    if (ranks_.rank() == 0) report(first, {all[3 * first], all[3 * first + 1], all[3 * first + 2]});
    return false;
  }

  Verdict judge(size_t index, const std::string& name, const std::string& where,
                const TensorMap& found, const TensorMap& expected) {
    const Tensor& wanted = expected.at(name);
    const Difference d = compare(found.at(name), wanted);
    const double relative = d.problem.empty() ? d.relative() : INFINITY;
    if (!(relative <= arguments_.tolerance(usual_tolerance(values_))))
      return {static_cast<double>(index), relative, d.largest_error};
    ++compared_;
    if (relative > largest_) {
      largest_ = relative;
      largest_at_ = name + (where.empty() ? "" : " (" + where + ")");
    }
    return {};
  }

  // The rank that found the earliest difference; below 0: none did.
  static int first_rank(const std::vector<double>& all) {
    int first = -1;
    for (size_t r = 0; 3 * r < all.size(); ++r)
      if (all[3 * r] >= 0 && (first < 0 || all[3 * r] < all[3 * static_cast<size_t>(first)]))
        first = static_cast<int>(r);
    return first;
  }

  void report(int rank, const Verdict& verdict) const {
    const auto index = static_cast<size_t>(verdict.index);
    if (index >= values_.size()) {
      std::printf("output %s differs on rank %d", outputs_[index - values_.size()].c_str(), rank);
    } else {
      const LayerInfo& v = values_[index];
      std::printf("value %s, %s of %s (%s), differs on rank %d", v.value.c_str(),
                  describe(v.dtype, v.shape).c_str(),
                  v.scope.empty() ? "no layer" : v.scope.c_str(), v.operation.c_str(), rank);
    }
    std::printf(": largest error %s, relative %s\n", number_text(verdict.error).c_str(),
                number_text(verdict.relative).c_str());
    std::printf("the %zu values before it agree; largest error, relative: %s\n", index,
                number_text(largest_).c_str());
    if (index < values_.size()) show_placement(values_[index].value);
  }

  void show_placement(const std::string& value) const {
    BuildOptions build = options(ranks_.size());
    build.shapes = {shapes_};
    build.watch = {value};
    const Engine engine = Engine::build(arguments_.model(), build);
    for (const PlacementInfo& p : engine.placements())
      if (p.value == value)
        for (const PlacementInfo& known : engine.placements(0, value)) {
          std::printf("it is %s\n", known.placement.c_str());
          for (const std::string& line : known.why) std::printf("%s\n", line.c_str());
        }
  }

  const RankArguments& arguments_;
  Communicator& ranks_;
  TensorMap inputs_;
  InputShapes shapes_;
  std::vector<LayerInfo> values_;  // what layers give, in program order
  std::vector<std::string> outputs_;
  size_t compared_ = 0;
  double largest_ = 0;
  std::string largest_at_;
};

}  // namespace

int verify_rank(const RankArguments& arguments, Communicator& ranks) {
  return Verifier(arguments, ranks).run();
}

}  // namespace tutti::cli
