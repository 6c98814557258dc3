// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <png.h>

#include <cmath>

#include "compiled_model.h"
#include "core/test_data.h"
#include "import/weights.h"

namespace tutti {
namespace {

Graph with_weights(const std::string& graph, const std::string& weights) {
  Graph g = import_pt2(test_model("flux_tiny/graphs/" + graph));
  bind_weights(g, *open_weights(test_model("flux_tiny/model/" + weights)), DType::f32);
  return g;
}

Tensor f32(const Tensors& from, std::string_view name) {
  return cast(from.find(name)->second, DType::f32);
}

// The largest difference over the largest stored value; what storing in f16 rounded away is none.
double error_to_stored(const Tensor& found, const Tensor& stored) {
  const Tensor wanted = cast(stored, DType::f32);
  double largest = 0, difference = 0;
  for (int64_t i = 0; i < found.elements(); ++i) {
    const double y = wanted.as<float>()[i];
    const double half_ulp =
        stored.dtype == DType::f16 && y != 0 ? std::ldexp(1.0, std::ilogb(y) - 11) : 0;
    largest = std::max(largest, std::abs(y));
    difference = std::max(difference, std::abs(found.as<float>()[i] - y) - half_ulp);
  }
  return difference / largest;
}

// A stored picture and the graphs that draw it; rows and columns of packed latents.
struct Drawing {
  const char *reference, *transformer, *decoder;
  int64_t rows, columns;
};

void PrintTo(const Drawing& d, std::ostream* os) { *os << d.reference << " " << d.transformer; }

class FluxTiny : public testing::TestWithParam<Drawing> {
 protected:
  Tensors stored(std::string_view suffix = ".safetensors") const {
    return tensors_of(test_model(join("flux_tiny/reference/", GetParam().reference, suffix)));
  }

  Tensor image_ids() const {
    const auto [reference, transformer, decoder, rows, columns] = GetParam();
    Tensor ids = Tensor::zeros(DType::f32, {rows * columns, 3});
    for (int64_t i = 0; i < rows * columns; ++i) {
      ids.as<float>()[i * 3 + 1] = static_cast<float>(i / columns);
      ids.as<float>()[i * 3 + 2] = static_cast<float>(i % columns);
    }
    return ids;
  }

  // Packed latents [1, h w, 64] to [1, 16, 2h, 2w].
  Tensor unpack(const Tensor& x) const {
    const int64_t rows = 2 * GetParam().rows, columns = 2 * GetParam().columns;
    Tensor z = Tensor::zeros(DType::f32, {1, 16, rows, columns});
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column)
        for (int64_t c = 0; c < 16; ++c) {
          const int64_t token = row / 2 * (columns / 2) + column / 2;
          const int64_t i = c * 4 + row % 2 * 2 + column % 2;
          z.as<float>()[(c * rows + row) * columns + column] =
              x.as<float>()[token * 64 + i] / 0.3519f - 0.0078f;
        }
    return z;
  }
};

TEST_P(FluxTiny, LatentsFollowTheStoredOnesFor20Steps) {
  CompiledModel model(with_weights(GetParam().transformer, "transformer"), {});
  const Tensors reference = stored();
  const Tensor sigmas = f32(reference, "sigmas"), times = f32(reference, "timesteps");
  Tensor x = f32(reference, "noise");
  const std::map<int, double> tolerance = {{1, 2e-5}, {10, 5e-5}, {20, 2e-4}};
  for (int step = 0; step < 20; ++step) {
    Tensor time = Tensor::zeros(DType::f32, {1});
    time.as<float>()[0] = times.as<float>()[step] / 1000;
    const Tensors outputs = model.run({{"hidden_states", x},
                                       {"timestep", time},
                                       {"guidance", f32(reference, "guidance")},
                                       {"pooled_projections", f32(reference, "clip_pooled")},
                                       {"encoder_hidden_states", f32(reference, "t5_embeds")},
                                       {"txt_ids", Tensor::zeros(DType::f32, {64, 3})},
                                       {"img_ids", image_ids()}});
    const float* velocity = outputs.begin()->second.as<float>();
    const float distance = sigmas.as<float>()[step + 1] - sigmas.as<float>()[step];
    for (int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += distance * velocity[i];
    const auto wanted = tolerance.find(step + 1);
    if (wanted == tolerance.end()) continue;
    const Tensor& expected = reference.find(join("latents_", step + 1))->second;
    EXPECT_LE(error_to_stored(x, expected), wanted->second) << "step " << step + 1;
  }
}

TEST_P(FluxTiny, TheDecoderGivesTheStoredPicture) {
  CompiledModel model(with_weights(GetParam().decoder, "vae"), {});
  const Function& run = model.program().graph.function("run");
  const Tensor image =
      model.run({{run.value(run.inputs[0]).name, unpack(f32(stored(), "latents_20"))}})
          .begin()
          ->second;
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const std::string file = test_model(join("flux_tiny/reference/", GetParam().reference, ".png"));
  ASSERT_TRUE(png_image_begin_read_from_file(&png, file.c_str())) << png.message;
  png.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(png));
  ASSERT_TRUE(png_image_finish_read(&png, nullptr, pixels.data(), 0, nullptr)) << png.message;
  ASSERT_EQ(image.shape, (Dims{1, 3, png.height, png.width}));
  const int64_t count = static_cast<int64_t>(png.height) * png.width;
  double largest = 0;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t c = 0; c < 3; ++c) {
      const float value = image.as<float>()[c * count + i] / 2 + 0.5f;
      const double level = std::nearbyint(255 * std::clamp(value, 0.0f, 1.0f));
      largest = std::max(largest, std::abs(level - pixels[static_cast<size_t>(i * 3 + c)]));
    }
  EXPECT_LE(largest, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Drawings, FluxTiny,
    testing::Values(Drawing{"fuji", "transformer.pt2", "vae_decoder.pt2", 32, 32},
                    Drawing{"fuji", "transformer_dynamic.pt2", "vae_decoder_dynamic.pt2", 32, 32},
                    Drawing{"wide", "transformer_dynamic.pt2", "vae_decoder_dynamic.pt2", 24, 40}));

}  // namespace
}  // namespace tutti
