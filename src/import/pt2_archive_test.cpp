// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_archive.h"

#include <gtest/gtest.h>

#include <map>

#include "core/test_data.h"
#include "import/zip_for_tests.h"

namespace tutti {
namespace {

// The files of a small archive, below their root folder.
struct Files {
  std::map<std::string, std::string> content = {
      {"archive_format", "pt2"},
      {"archive_version", "0"},
      {"byteorder", "little"},
      {"models/model.json", "{}"},
      {"data/weights/model_weights_config.json", R"({"config": {}})"},
      {"data/constants/model_constants_config.json", R"({"config": {}})"}};

  std::string& operator[](const std::string& path) { return content[path]; }

  std::string bytes() const {
    TestZip zip;
    for (const auto& [path, text] : content) zip.add("root/" + path, text);
    return zip.bytes();
  }
  Pt2Archive open(std::string_view model = "") const {
    return Pt2Archive(TestZip::mapped(bytes(), "x.pt2"), model);
  }
  std::string error(Errc code, std::string_view model = "") const {
    return error_of(code, [&] { open(model); });
  }
};

std::string ints(std::initializer_list<int64_t> values) {
  std::vector<std::string> items;
  for (int64_t value : values) items.push_back(join("{\"as_int\":", value, "}"));
  return join("[", join_list(items), "]");
}

struct Entry {
  std::string name = "w";
  std::string file = "weight_0";
  int dtype = 7;
  std::string sizes = ints({2});
  std::string strides = ints({1});
  int64_t offset = 0;
  std::string device = "cpu";
  bool pickle = false;
  int layout = 7;

  std::string json() const {
    return join("\"", name, "\":{\"path_name\":\"", file,
                "\",\"is_param\":true,\"use_pickle\":", pickle,
                ",\"tensor_meta\":{\"dtype\":", dtype, ",\"sizes\":", sizes,
                ",\"strides\":", strides, ",\"storage_offset\":{\"as_int\":", offset,
                "},\"requires_grad\":false,\"device\":{\"type\":\"", device,
                "\",\"index\":null},\"layout\":", layout, "}}");
  }
};

Files with_weight(const Entry& entry, const std::string& payload) {
  Files files;
  files["data/weights/model_weights_config.json"] = "{\"config\":{" + entry.json() + "}}";
  files["data/weights/weight_0"] = payload;
  return files;
}

constexpr std::string_view kConfig = "x.pt2: root/data/weights/model_weights_config.json: config.w";

TEST(Pt2Archive, GivesWeightsAndConstantsInPlace) {
  Files files = with_weight({}, std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  Entry constant{.name = "c", .file = "tensor_0", .dtype = 5, .sizes = "[]", .strides = "[]"};
  files["data/constants/model_constants_config.json"] = "{\"config\":{" + constant.json() + "}}";
  files["data/constants/tensor_0"] = std::string("\7\0\0\0\0\0\0\0", 8);
  const Pt2Archive archive = files.open();
  EXPECT_EQ(archive.names(), (std::vector<std::string>{"c", "w"}));
  EXPECT_EQ(archive.find("w")->as<float>()[1], 2.0f);
  EXPECT_EQ(archive.find("c")->as<int64_t>()[0], 7);
  EXPECT_FALSE(archive.find("d"));
  EXPECT_EQ(archive.model(), "model");
  EXPECT_EQ(as_text(archive.program()), "{}");
  EXPECT_EQ(archive.program_name(), "x.pt2: models/model.json");
}

TEST(Pt2Archive, FollowsStridesAndOffsetIntoASharedPayload) {
  Files files;
  const Entry whole{.name = "a", .sizes = ints({2, 3}), .strides = ints({1, 2})};
  const Entry part{.name = "b", .sizes = ints({2}), .strides = ints({3}), .offset = 2};
  files["data/weights/model_weights_config.json"] =
      "{\"config\":{" + whole.json() + "," + part.json() + "}}";
  float numbers[6] = {0, 1, 2, 3, 4, 5};
  files["data/weights/weight_0"] = std::string(reinterpret_cast<char*>(numbers), sizeof numbers);
  const Pt2Archive archive = files.open();
  const Tensor a = contiguous(*archive.find("a"));
  const float expected[6] = {0, 2, 4, 1, 3, 5};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(a.as<float>()[i], expected[i]);
  const Tensor b = contiguous(*archive.find("b"));
  EXPECT_EQ(b.as<float>()[0], 2);
  EXPECT_EQ(b.as<float>()[1], 5);
  EXPECT_EQ(archive.find_stored("a")->storage.data(), archive.find_stored("b")->storage.data());
}

TEST(Pt2Archive, TurnsComplexNumbersIntoATrailingPair) {
  const Entry entry{.dtype = 10, .sizes = ints({2}), .strides = ints({2}), .offset = 1};
  const Pt2Archive archive = with_weight(entry, std::string(32, '\0')).open();
  const StoredTensor& tensor = *archive.find_stored("w");
  EXPECT_EQ(describe(tensor.view.dtype, tensor.view.shape), "f32[2, 2]");
  EXPECT_EQ(tensor.view.strides, (Dims{4, 1}));
  EXPECT_EQ(tensor.view.offset, 2);
  EXPECT_NE(with_weight(entry, std::string(31, '\0')).error(Errc::corrupt).find("takes 32 bytes"),
            std::string::npos);
}

TEST(Pt2Archive, KnowsOnlyTheTypeOfAMetaTensor) {
  const Entry entry{
      .sizes = ints({1000000, 1000000}), .strides = ints({1000000, 1}), .device = "meta"};
  const Pt2Archive archive = with_weight(entry, "").open();
  EXPECT_TRUE(archive.find_stored("w")->is_meta);
  EXPECT_TRUE(archive.find_stored("w")->storage.empty());
  EXPECT_FALSE(archive.find("w"));
  EXPECT_TRUE(archive.names().empty());
}

TEST(Pt2Archive, AnEmptyTensorNeedsNoPayload) {
  Files files = with_weight({.sizes = ints({0})}, "");
  EXPECT_EQ(files.open().find("w")->shape, Dims{0});
  files.content.erase("data/weights/weight_0");
  EXPECT_EQ(files.open().find("w")->shape, Dims{0});
}

TEST(Pt2Archive, RefusesAPayloadThatIsTooSmallOrMissing) {
  EXPECT_EQ(
      with_weight({}, "1234567").error(Errc::corrupt),
      join(kConfig, ": f32[2] with strides [1] from element 0 takes 8 bytes; weight_0 has 7"));
  EXPECT_NE(with_weight({.offset = 1}, "12345678").error(Errc::corrupt).find("takes 12 bytes"),
            std::string::npos);
  EXPECT_NE(with_weight({.strides = ints({2})}, "12345678").error(Errc::corrupt).find("takes 12"),
            std::string::npos);
  EXPECT_EQ(with_weight({.file = "weight_1"}, "12345678").error(Errc::corrupt),
            join(kConfig, ": the archive has no root/data/weights/weight_1"));
}

TEST(Pt2Archive, RefusesStridesThatAreNegativeTooLargeOrTooFew) {
  const std::string payload(64, '\0');
  for (const Entry& entry : {Entry{.sizes = ints({-1})}, Entry{.strides = ints({-1})},
                             Entry{.offset = -1}, Entry{.strides = ints({INT64_MAX})},
                             Entry{.offset = INT64_MAX}, Entry{.dtype = 10, .offset = INT64_MAX},
                             Entry{.sizes = ints({INT64_MAX, 3}), .strides = ints({0, 0})}})
    EXPECT_NE(with_weight(entry, payload).error(Errc::corrupt).find("too large"), std::string::npos)
        << entry.json();
  EXPECT_NE(
      with_weight({.strides = "[]"}, payload).error(Errc::corrupt).find("1 sizes but 0 strides"),
      std::string::npos);
}

TEST(Pt2Archive, RepeatsBytesUpToALimit) {
  const auto repeated = [](int64_t count) {
    return with_weight({.sizes = ints({count}), .strides = ints({0})}, "1234");
  };
  EXPECT_EQ(repeated(int64_t{1} << 28).open().find("w")->strides, Dims{0});
  EXPECT_NE(
      repeated((int64_t{1} << 28) + 1).error(Errc::unsupported).find("repeats 4 stored bytes"),
      std::string::npos);
}

TEST(Pt2Archive, NamesWhatItCannotRead) {
  const std::string payload(64, '\0');
  const auto refusal = [&](const Entry& entry) {
    return with_weight(entry, payload).error(Errc::unsupported);
  };
  EXPECT_EQ(refusal({.pickle = true}).rfind(join(kConfig, ": is stored as a pickle"), 0), 0u);
  EXPECT_EQ(refusal({.dtype = 28}), join(kConfig, ".tensor_meta: has element type UINT16"));
  EXPECT_EQ(refusal({.dtype = 99}), join(kConfig, ".tensor_meta: has element type 99"));
  EXPECT_NE(refusal({.layout = 1}).find("has layout 1; only dense"), std::string::npos);
  EXPECT_NE(refusal({.sizes = R"([{"as_expr":{"expr_str":"s0"}}])"}).find("is symbolic"),
            std::string::npos);
  EXPECT_NE(refusal({.sizes = ints({1, 1, 1, 1, 1, 1, 1, 1, 1})}).find("9 dimensions"),
            std::string::npos);
}

TEST(Pt2Archive, RefusesATensorStoredTwice) {
  Files files = with_weight({}, "12345678");
  files["data/constants/model_constants_config.json"] =
      "{\"config\":{" + Entry{.file = "tensor_0"}.json() + "}}";
  files["data/constants/tensor_0"] = "12345678";
  EXPECT_NE(files.error(Errc::corrupt).find("x.pt2: w: is stored twice"), std::string::npos);
}

TEST(Pt2Archive, ChoosesAModelByName) {
  Files files;
  files["models/other.json"] = "{\"other\": 1}";
  files["data/weights/other_weights_config.json"] = R"({"config": {}})";
  files["data/constants/other_constants_config.json"] = R"({"config": {}})";
  EXPECT_EQ(files.open().model(), "model");
  EXPECT_EQ(as_text(files.open("other").program()), "{\"other\": 1}");
  EXPECT_EQ(files.error(Errc::not_found, "third"),
            "x.pt2: has no model called third; it has model, other");
  files.content.erase("models/model.json");
  EXPECT_EQ(files.open().model(), "other");
  files.content.erase("models/other.json");
  EXPECT_NE(files.error(Errc::not_found).find("holds no program"), std::string::npos);
}

TEST(Pt2Archive, ChecksTheHeaderFiles) {
  for (const auto& [path, wrong] :
       {std::pair{"archive_format", "other"}, {"archive_version", "1"}, {"byteorder", "big"}}) {
    Files files;
    files[path] = wrong;
    EXPECT_NE(files.error(Errc::unsupported).find(wrong), std::string::npos) << path;
    files.content.erase(path);
    EXPECT_NE(files.error(Errc::corrupt).find(join("has no root/", path)), std::string::npos);
  }
  Files files;
  files["archive_version"] = "0\n";
  EXPECT_NO_THROW(files.open());
}

TEST(Pt2Archive, GivesExtraFiles) {
  Files files;
  files["extra/notes"] = "text";
  const Pt2Archive archive = files.open();
  EXPECT_EQ(as_text(*archive.extra("notes")), "text");
  EXPECT_FALSE(archive.extra("none"));
}

TEST(Pt2Archive, TellsOtherPyTorchFilesApart) {
  TestZip zip;
  zip.add("archive/data.pkl", "");
  EXPECT_NE(error_of(Errc::unsupported, [&] { Pt2Archive archive(zip.file("x.pt")); })
                .find("x.pt: is a torch.save or TorchScript file"),
            std::string::npos);
  EXPECT_NE(error_of(Errc::corrupt, [&] { Pt2Archive archive(TestZip().file("x.pt2")); })
                .find("is an empty archive"),
            std::string::npos);
}

TEST(Pt2Archive, AnyDamageIsAnErrorOrHarmless) {
  const Files files = with_weight({.sizes = ints({1, 2}), .strides = ints({2, 1})}, "12345678");
  damage_everywhere(files.bytes(), [](const std::string& damaged) {
    const Pt2Archive archive(TestZip::mapped(damaged));
    for (const std::string& name : archive.names()) contiguous(*archive.find(name));
  });
}

Pt2Archive open_model(std::string_view name) {
  return Pt2Archive(MappedFile::open(test_model(name)));
}

TEST(Pt2ArchiveFixtures, OlderLayoutsSayWhichVersionWroteThem) {
  const auto refusal = [](std::string_view name) {
    return error_of(Errc::unsupported, [&] { open_model(name); });
  };
  EXPECT_NE(refusal("versions/llama_torch26.pt2")
                .find("llama_torch26.pt2: was saved by PyTorch 2.6.0+cu124 in the layout of 2.7"),
            std::string::npos);
  EXPECT_NE(refusal("versions/llama_torch28.pt2")
                .find("llama_torch28.pt2: was saved by PyTorch 2.8.0+cu128 in the layout of 2.8"),
            std::string::npos);
}

TEST(Pt2ArchiveFixtures, TiedTensorsShareBytes) {
  const Pt2Archive archive = open_model("versions/tied.pt2");
  EXPECT_EQ(archive.names(), (std::vector<std::string>{"down", "emb.weight", "head.weight", "rows",
                                                       "table", "turned", "up.weight"}));
  EXPECT_EQ(archive.find("emb.weight")->data, archive.find("head.weight")->data);
  EXPECT_EQ(archive.find("turned")->strides, (Dims{1, 32}));
  const StoredTensor& rows = *archive.find_stored("rows");
  EXPECT_EQ(rows.storage.size(), 2048u);
  EXPECT_EQ(archive.find("rows")->as<char>(),
            reinterpret_cast<const char*>(rows.storage.data()) + 128 * 4);
}

TEST(Pt2ArchiveFixtures, AGraphWithoutWeightsHasMetaTensorsOnly) {
  const Pt2Archive archive = open_model("flux_dev_graph.pt2");
  EXPECT_TRUE(archive.names().empty());
  EXPECT_EQ(archive.tensors().size(), 1160u);
}

TEST(Pt2ArchiveFixtures, WeightsAreAlignedInTheMapping) {
  const Pt2Archive archive = open_model("flux_bf16.pt2");
  for (const StoredTensor& tensor : archive.tensors()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.storage.data()) % 64, 0u);
    EXPECT_EQ(archive.find(tensor.name)->as<std::byte>(), tensor.storage.data());
  }
}

}  // namespace
}  // namespace tutti
