// SPDX-License-Identifier: Apache-2.0
#include "import/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/test_data.h"
#include "import/tensor_file.h"
#include "import/zip_for_tests.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

std::string safetensors(const std::string& header, const std::string& data) {
  std::string out;
  append_little<uint64_t>(out, header.size());
  return out + header + data;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  int begin, int end) {
  return join("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape, ",\"data_offsets\":[",
              begin, ",", end, "]}");
}

SafetensorsFile open(const std::string& bytes) {
  return SafetensorsFile(TestZip::mapped(bytes, "x.safetensors"));
}

std::string open_error(const std::string& header, const std::string& data) {
  return error_of(Errc::corrupt, [&] { open(safetensors(header, data)); });
}

TEST(Safetensors, ReadsEveryElementType) {
  const std::pair<const char*, DType> types[] = {
      {"F64", DType::f64},   {"F32", DType::f32},         {"F16", DType::f16},
      {"BF16", DType::bf16}, {"F8_E4M3", DType::f8_e4m3}, {"F8_E5M2", DType::f8_e5m2},
      {"I64", DType::i64},   {"I32", DType::i32},         {"I16", DType::i16},
      {"I8", DType::i8},     {"U8", DType::u8},           {"BOOL", DType::boolean}};
  for (const auto& [name, dtype] : types) {
    const int size = static_cast<int>(size_of(dtype));
    const std::string data(static_cast<size_t>(2 * size), '\1');
    const auto file = open(safetensors("{" + entry("a", name, "[2, 1]", 0, 2 * size) + "}", data));
    const auto tensor = file.find("a");
    ASSERT_TRUE(tensor) << name;
    EXPECT_EQ(tensor->dtype, dtype);
    EXPECT_EQ(tensor->shape, (Dims{2, 1}));
    EXPECT_EQ(std::string(tensor->as<char>(), data.size()), data);
  }
}

TEST(Safetensors, ListsNamesSortedAndMetadata) {
  const auto file =
      open(safetensors(R"({"__metadata__":{"k":"v"},)" + entry("b", "U8", "[]", 1, 2) + "," +
                           entry("a", "U8", "[1]", 0, 1) + "}  ",
                       "\5\6"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(file.find("b")->as<uint8_t>()[0], 6);
  EXPECT_EQ(file.metadata().at("k"), "v");
  EXPECT_FALSE(file.find("c"));
}

TEST(Safetensors, RefusesAnUnknownElementTypeOnlyWhenAskedForIt) {
  const auto file = open(safetensors(
      "{" + entry("a", "F8_E8M0", "[1]", 0, 1) + "," + entry("b", "U8", "[1]", 1, 2) + "}",
      "\5\6"));
  EXPECT_TRUE(file.find("b"));
  EXPECT_NE(error_of(Errc::unsupported, [&] { file.find("a"); })
                .find("x.safetensors: a: has element type F8_E8M0"),
            std::string::npos);
}

TEST(Safetensors, RefusesContradictions) {
  const std::string four(4, '\0');
  const auto one = [](const std::string& e) { return "{" + e + "}"; };
  EXPECT_EQ(open_error(one(entry("a", "F32", "[1]", 0, 5)), four),
            "x.safetensors: header: a: ends at byte 5 of 4 bytes of data");
  EXPECT_EQ(open_error(one(entry("a", "F32", "[2]", 0, 4)), four),
            "x.safetensors: header: a: has 4 bytes; f32[2] takes 8");
  EXPECT_EQ(open_error(one(entry("a", "F32", "[1]", 4, 0)), four),
            "x.safetensors: header: a: data_offsets [4, 0] are no begin and end");
  EXPECT_EQ(open_error(one(entry("a", "U8", "[-1]", 0, 1)), four),
            "x.safetensors: header: a.shape[0]: is negative");
  EXPECT_EQ(open_error(one(entry("a", "U8", "[4294967296, 4294967296]", 0, 0)), four),
            "x.safetensors: header: a: has too many elements");
  EXPECT_EQ(
      open_error(one(entry("a", "U8", "[2]", 0, 2) + "," + entry("b", "U8", "[2]", 1, 3)), four),
      "x.safetensors: a and b overlap");
  EXPECT_EQ(
      open_error(one(entry("a", "U8", "[1]", 0, 1) + "," + entry("a", "U8", "[1]", 1, 2)), four),
      "x.safetensors: header: a: occurs twice");
  EXPECT_EQ(open_error(R"({"a":{"dtype":"U8","shape":[1]}})", four),
            "x.safetensors: header: a: has no data_offsets");
  EXPECT_NE(open_error("[]", four).find("is no .safetensors file"), std::string::npos);
  EXPECT_NE(open_error("{]", four).find("header: is no valid JSON"), std::string::npos);
  EXPECT_NE(error_of(Errc::corrupt, [] { open(std::string(20, '\xff')); }).find("cut off"),
            std::string::npos);
}

TEST(Safetensors, AnyDamageIsAnErrorOrHarmless) {
  const std::string bytes = safetensors(
      "{" + entry("a", "F32", "[1, 2]", 0, 8) + "," + entry("b", "BOOL", "[1]", 8, 9) + "}",
      std::string(9, '\1'));
  damage_everywhere(bytes, [](const std::string& damaged) {
    const auto file = open(damaged);
    for (const std::string& name : file.names()) contiguous(*file.find(name));
  });
}

TEST(Safetensors, ReadsAFileOfTheFormatsOwnLibraryInPlace) {
  const auto file = MappedFile::open(test_model("versions/nested.outputs.safetensors"));
  const SafetensorsFile tensors(file);
  EXPECT_EQ(tensors.names(), (std::vector<std::string>{"out.0.parts.0", "out.0.parts.1.deep",
                                                       "out.0.same", "out.0.y", "out.1"}));
  const auto tensor = tensors.find("out.0.same");
  EXPECT_EQ(describe(tensor->dtype, tensor->shape), "f32[3]");
  EXPECT_EQ(tensor->as<char>(),
            reinterpret_cast<const char*>(file->bytes().data()) + file->bytes().size() - 268 + 128);
}

class SafetensorsFileTest : public testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / join("tutti_safetensors_test.", ::getpid());
  void SetUp() override { fs::create_directory(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  std::string weights_error(Errc code, const std::string& name) {
    return error_of(code, [&] { open_weights(folder_ / name); });
  }
};

TEST_F(SafetensorsFileTest, WritesLargerElementsFirstThenByName) {
  Tensor f32 = Tensor::zeros(DType::f32, {1});
  f32.as<float>()[0] = 1;
  Tensor u8 = Tensor::zeros(DType::u8, {3});
  const std::vector<NamedTensor> tensors = {
      {"a", u8}, {"c\"", f32}, {"b", Tensor::zeros(DType::f32, {})}};
  write_safetensors(folder_ / "x.safetensors", tensors, {{"k", "v"}, {"l", "w"}});
  std::string header =
      R"({"__metadata__":{"k":"v","l":"w"},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("c\"":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
      R"("a":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
  header += std::string((8 - header.size() % 8) % 8, ' ');
  const std::string data =
      std::string(4, '\0') + std::string("\0\0\x80\x3f", 4) + std::string(3, '\0');
  const auto file = MappedFile::open(folder_ / "x.safetensors");
  EXPECT_EQ(as_text(file->bytes()), safetensors(header, data));
}

TEST_F(SafetensorsFileTest, WritesNothingAndTransposedTensors) {
  write_safetensors(folder_ / "empty.safetensors", {});
  EXPECT_TRUE(read_tensors(folder_ / "empty.safetensors").empty());
  Tensor t = Tensor::zeros(DType::u8, {2, 2});
  for (int i = 0; i < 4; ++i) t.as<uint8_t>()[i] = static_cast<uint8_t>(i);
  std::swap(t.strides[0], t.strides[1]);
  write_safetensors(folder_ / "t.safetensors", std::vector<NamedTensor>{{"t", t}});
  const Tensor back = read_tensors(folder_ / "t.safetensors")[0].tensor;
  EXPECT_EQ(std::string(back.as<char>(), 4), std::string("\0\2\1\3", 4));
}

TEST_F(SafetensorsFileTest, RefusesToWriteNamesTwice) {
  const Tensor t = Tensor::zeros(DType::u8, {1});
  for (const char* name : {"a", "__metadata__"}) {
    const std::vector<NamedTensor> tensors = {{"a", t}, {name, t}};
    EXPECT_NE(error_of(Errc::invalid_argument,
                       [&] { write_safetensors(folder_ / "x.safetensors", tensors); })
                  .find(join("two tensors are called ", name)),
              std::string::npos);
  }
}

TEST_F(SafetensorsFileTest, AnIndexJoinsItsFiles) {
  put("a.safetensors", safetensors("{" + entry("x", "U8", "[1]", 0, 1) + "}", "\1"));
  put("b.safetensors", safetensors("{" + entry("y", "U8", "[1]", 0, 1) + "}", "\2"));
  put("m.safetensors.index.json",
      R"({"metadata":{},"weight_map":{"y":"b.safetensors","x":"a.safetensors"}})");
  for (const auto& path : {folder_, folder_ / "m.safetensors.index.json"}) {
    const auto weights = open_weights(path);
    EXPECT_EQ(weights->names(), (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(weights->find("y")->as<uint8_t>()[0], 2);
    EXPECT_FALSE(weights->find("z"));
  }
}

TEST_F(SafetensorsFileTest, AnIndexMayNotLeaveItsFolderOrNameWhatIsMissing) {
  put("a.safetensors", safetensors("{" + entry("x", "U8", "[1]", 0, 1) + "}", "\1"));
  const auto index = [&](const std::string& map) {
    put("m.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  };
  index(R"("x":"../a.safetensors")");
  EXPECT_NE(weights_error(Errc::corrupt, "").find("weight_map.x: ../a.safetensors is no"),
            std::string::npos);
  index(R"("y":"a.safetensors")");
  EXPECT_NE(weights_error(Errc::corrupt, "").find("weight_map.y: a.safetensors has no tensor"),
            std::string::npos);
  index(R"("x":"b.safetensors")");
  EXPECT_NE(weights_error(Errc::not_found, "").find("b.safetensors"), std::string::npos);
}

TEST_F(SafetensorsFileTest, AFolderJoinsAllItsFiles) {
  EXPECT_NE(weights_error(Errc::not_found, "").find("has no .safetensors file"), std::string::npos);
  put("a.safetensors", safetensors("{" + entry("x", "U8", "[1]", 0, 1) + "}", "\1"));
  EXPECT_EQ(open_weights(folder_)->names(), std::vector<std::string>{"x"});
  put("b.safetensors", safetensors("{" + entry("y", "U8", "[1]", 0, 1) + "}", "\2"));
  EXPECT_EQ(open_weights(folder_)->names(), (std::vector<std::string>{"x", "y"}));
  put("c.safetensors", safetensors("{" + entry("x", "U8", "[1]", 0, 1) + "}", "\3"));
  EXPECT_NE(weights_error(Errc::corrupt, "").find("x: is in"), std::string::npos);
}

TEST_F(SafetensorsFileTest, ReadsTheFolderOfAModel) {
  const auto weights = open_weights(test_model("flux_tiny/model/transformer"));
  const auto tensor = weights->find("x_embedder.weight");
  ASSERT_TRUE(tensor);
  EXPECT_EQ(describe(tensor->dtype, tensor->shape), "bf16[192, 64]");
}

TEST_F(SafetensorsFileTest, TheExtensionChoosesTheFormat) {
  const std::vector<NamedTensor> tensors = {{"x", Tensor::zeros(DType::i32, {2})}};
  for (const char* name : {"x.npy", "x.npz", "x.safetensors"}) {
    write_tensors(folder_ / name, tensors);
    const auto back = read_tensors(folder_ / name);
    ASSERT_EQ(back.size(), 1u) << name;
    EXPECT_EQ(back[0].name, "x");
    EXPECT_EQ(describe(back[0].tensor.dtype, back[0].tensor.shape), "i32[2]");
    EXPECT_EQ(open_weights(folder_ / name)->names(), std::vector<std::string>{"x"});
  }
  EXPECT_NE(error_of(Errc::invalid_argument, [] { read_tensors("x.pt"); })
                .find("x.pt: is no tensor file by its name; .npy, .npz and .safetensors are"),
            std::string::npos);
  EXPECT_NE(error_of(Errc::invalid_argument, [&] { write_tensors(folder_ / "y.npy", {}); })
                .find("holds one tensor, not 0"),
            std::string::npos);
}

}  // namespace
}  // namespace tutti
