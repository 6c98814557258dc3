// SPDX-License-Identifier: Apache-2.0
// Programs of single operators against PyTorch's stored results; tests/ops/make_cases.py wrote
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>

#include "compiled_model.h"
#include "import/safetensors.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

const char* const kFolder = TUTTI_BINARY_DIR "/ops/cases";

// An output that differs from PyTorch's on purpose.
struct Deviation {
  std::string_view file, output;
  enum class Kind { values_that_are_not_finite, rounding } kind;
  double tolerance;  // of rounding
  std::string_view reason;
};

constexpr auto kNotFinite = Deviation::Kind::values_that_are_not_finite;
constexpr auto kRounding = Deviation::Kind::rounding;
constexpr std::string_view kQuotient =
    "PyTorch's vector code gives NaN where the quotient has more digits than the type; ours is "
    "exact";
constexpr std::string_view kSleef = "PyTorch overflows at 710; ours where the result does";
constexpr std::string_view kErf =
    "PyTorch's vector code gives NaN at infinity and infinity at the largest number; ours x";

constexpr Deviation kDeviations[] = {
    {"fmod", "out.9", kNotFinite, 0, kQuotient},
    {"fmod", "out.10", kNotFinite, 0, kQuotient},
    {"remainder", "out.9", kNotFinite, 0, kQuotient},
    {"remainder", "out.10", kNotFinite, 0, kQuotient},
    {"cosh", "out.7", kNotFinite, 0, kSleef},
    {"sinh", "out.7", kNotFinite, 0, kSleef},
    {"gelu", "out.6", kNotFinite, 0, kErf},
    {"gelu", "out.9", kNotFinite, 0, kErf},
    {"conv_transpose3d", "out.8", kRounding, 0x1p-9, "PyTorch adds up in f16, ours in f32"},
    {"prod", "out.23", kRounding, 0x1p-6, "PyTorch multiplies in bf16, ours in f64"},
    {"layer_norm", "out.51", kRounding, 1.5e-2,
     "the deviations are 1e-5 of the mean, which both round to f32: PyTorch's error is 6e-3"},
    {"layer_norm", "out.57", kRounding, 1.5e-2, "as out.51"},
};

const Deviation* find_deviation(std::string_view file, std::string_view output) {
  for (const Deviation& d : kDeviations)
    if (d.file == file && d.output == output) return &d;
  return nullptr;
}

std::vector<std::string> files() {
  std::vector<std::string> names;
  if (fs::exists(kFolder))
    for (const auto& entry : fs::directory_iterator(kFolder))
      if (entry.path().extension() == ".pt2") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The texts of the cases that made the outputs of a file.
std::map<std::string, std::string> texts(const std::string& path) {
  return SafetensorsFile(MappedFile::open(path)).metadata();
}

// Largest error that is allowed, relative to what scale() says: one step of f16 and bf16, which is
// two roundings.
double tolerance(DType type) {
  switch (type) {
    case DType::f64:
      return 1e-10;
    case DType::f16:
      return 0x1p-10;
    case DType::bf16:
      return 0x1p-7;
    default:
      return 5e-5;
  }
}

// Tests with the ends of a type's range beside ordinary numbers must not lose sight of the latter.
constexpr double kLargeNumber = 1e4;

// The largest element that is no large number.
double scale(const Tensor& expected) {
  double largest = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double size = std::abs(expected.as<double>()[i]);
    if (size <= kLargeNumber) largest = std::max(largest, size);
  }
  return largest;
}

// The largest error, over the scale or over an element that is larger; NaN meets NaN only, infinity
// itself only, unless those are left out.
double error_of(const Tensor& found, const Tensor& expected, bool only_finite) {
  const double ordinary = scale(expected);
  double worst = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double x = found.as<double>()[i], y = expected.as<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    if (only_finite && !std::isfinite(y)) continue;
    if (!std::isfinite(x) || !std::isfinite(y)) return INFINITY;
    worst = std::max(worst, std::abs(x - y) / std::max(ordinary, std::abs(y)));
  }
  return worst;
}

// What is wrong with a result, or nothing.
std::string complaint(const Tensor& found, const Tensor& expected, const Deviation* deviation) {
  if (found.dtype != expected.dtype || found.shape != expected.shape)
    return join(found.dtype, found.shape, " instead of ", expected.dtype, expected.shape);
  if (!is_float(expected.dtype)) {
    const int64_t bytes = expected.elements() * static_cast<int64_t>(size_of(expected.dtype));
    const auto a = static_cast<const std::byte*>(found.data),
               b = static_cast<const std::byte*>(expected.data);
    return std::equal(a, a + bytes, b) ? "" : join("differs, of ", expected.dtype, expected.shape);
  }
  const double error = error_of(cast(found, DType::f64), cast(expected, DType::f64),
                                deviation && deviation->kind == kNotFinite);
  const bool rounds = deviation && deviation->kind == kRounding;
  if (error <= (rounds ? deviation->tolerance : tolerance(expected.dtype))) return "";
  return join("largest error ", error, " of ", expected.dtype, expected.shape);
}

class Results {
 public:
  Results(std::string file, std::map<std::string, std::string> texts)
      : file_(std::move(file)), texts_(std::move(texts)) {}

  // The results in the order of the program's outputs; out.N is the stored one of number N.
  void compare(const std::vector<Tensor>& found, const Tensors& expected, std::string_view run) {
    EXPECT_EQ(found.size(), expected.size()) << file_;
    for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
      const std::string name = join("out.", i), which = texts_[name], text = texts_[which];
      const Tensor result = contiguous(found[i]), wanted = contiguous(expected.at(name));
      const Deviation* deviation = find_deviation(file_, name);
      if (deviation && !complaint(result, wanted, nullptr).empty()) deviating_.insert(name);
      const std::string wrong = complaint(result, wanted, deviation);
      EXPECT_TRUE(wrong.empty()) << file_ << ".pt2 " << run << name << " " << wrong << ": " << which
                                 << " " << text << (deviation ? deviation->reason : "");
    }
  }

  // A deviation that is none any more leaves the list.
  void expect_deviations() const {
    for (const Deviation& d : kDeviations) {
      if (d.file == file_) {
        EXPECT_TRUE(deviating_.count(std::string(d.output))) << d.output << " is as PyTorch's";
      }
    }
  }

 private:
  std::string file_;
  std::map<std::string, std::string> texts_;
  std::set<std::string> deviating_;
};

// Runs a model; the outputs that are tensors, in order.
std::vector<Tensor> run(CompiledModel& model, const Tensors& inputs) {
  const Tensors found = model.run(inputs);
  std::vector<Tensor> results;
  for (const auto& output : model.program().graph.function("run").outputs) {
    const auto at = found.find(output.name);
    if (output.name.starts_with("out.") && at != found.end()) results.push_back(at->second);
  }
  return results;
}

class OperatorCases : public testing::TestWithParam<std::string> {};

TEST_P(OperatorCases, GiveWhatPyTorchGives) {
  const std::string path = join(kFolder, "/", GetParam());
  Results results(GetParam(), texts(path + ".outputs.safetensors"));
  for (const bool fuse : {false, true}) {
    CompileOptions options;
    options.fuse = fuse;
    CompiledModel model(import_pt2(path + ".pt2"), options);
    const std::string how = fuse ? "fused " : "plain ";
    results.compare(run(model, tensors_of(path + ".inputs.safetensors")),
                    tensors_of(path + ".outputs.safetensors"), how);
    const std::string more = path + ".lengths";
    if (!fs::exists(more + ".inputs.safetensors")) continue;
    int steps = 0;
    for (;; ++steps) {
      const std::string step = join("step", steps, ".");
      const Tensors inputs = tensors_of(more + ".inputs.safetensors", step);
      if (inputs.empty()) break;
      results.compare(run(model, inputs), tensors_of(more + ".outputs.safetensors", step),
                      how + step);
    }
    EXPECT_GT(steps, 1);
  }
  results.expect_deviations();
}

INSTANTIATE_TEST_SUITE_P(Stored, OperatorCases, testing::ValuesIn(files()),
                         [](const auto& file) { return file.param; });

TEST(OperatorCases, AreThere) { EXPECT_GT(files().size(), 150u); }

}  // namespace
}  // namespace tutti
