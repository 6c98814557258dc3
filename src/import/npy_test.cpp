// SPDX-License-Identifier: Apache-2.0
#include "import/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "import/zip.h"
#include "import/zip_for_tests.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

// A .npy file as numpy's format description says, without its padding.
std::string npy(int major, const std::string& header, const std::string& data) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(major);
  out += '\0';
  if (major == 1)
    append_little<uint16_t>(out, static_cast<uint16_t>(header.size()));
  else
    append_little<uint32_t>(out, static_cast<uint32_t>(header.size()));
  return out + header + data;
}

std::string header_of(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': " + shape + ", }\n";
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

Tensor read(const std::string& bytes) { return read_npy(TestZip::mapped(bytes, "x.npy")); }

std::string read_error(Errc code, const std::string& bytes) {
  return error_of(code, [&] { read(bytes); });
}

TEST(Npy, ReadsEveryVersion) {
  for (int major : {1, 2, 3}) {
    const Tensor t = read(npy(major, header_of("<i4", "(2, 3)"), raw<int32_t>({1, 2, 3, 4, 5, 6})));
    EXPECT_EQ(t.dtype, DType::i32);
    EXPECT_EQ(t.shape, (Dims{2, 3}));
    EXPECT_EQ(t.strides, (Dims{3, 1}));
    EXPECT_EQ(t.as<int32_t>()[5], 6);
  }
}

TEST(Npy, ReadsEveryElementType) {
  const std::pair<const char*, DType> types[] = {
      {"<f8", DType::f64}, {"<f4", DType::f32}, {"<f2", DType::f16},
      {"<i8", DType::i64}, {"<i4", DType::i32}, {"<i2", DType::i16},
      {"|i1", DType::i8},  {"|u1", DType::u8},  {"|b1", DType::boolean}};
  for (const auto& [descr, dtype] : types) {
    const std::string data(size_of(dtype) * 2, '\1');
    const Tensor t = read(npy(1, header_of(descr, "(2,)"), data));
    EXPECT_EQ(t.dtype, dtype);
    EXPECT_EQ(t.shape, Dims{2});
    EXPECT_EQ(std::string(t.as<char>(), data.size()), data);
  }
}

TEST(Npy, GivesFortranOrderByStrides) {
  const Tensor t = read(npy(1, header_of("<i2", "(2, 3)", true), raw<int16_t>({1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(t.strides, (Dims{1, 2}));
  const Tensor dense = contiguous(t);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(dense.as<int16_t>()[i], i + 1);
}

TEST(Npy, ReadsScalarsAndEmptyArrays) {
  EXPECT_EQ(read(npy(1, header_of("<f8", "()"), raw<double>({2.5}))).as<double>()[0], 2.5);
  EXPECT_EQ(read(npy(1, header_of("<f8", "(0, 3)"), "")).shape, (Dims{0, 3}));
}

TEST(Npy, MapsAlignedDataAndCopiesOther) {
  std::string header = header_of("<i8", "(1,)");
  for (int padding = 0; padding < 8; ++padding) {
    const auto file = TestZip::mapped(
        npy(1, header + std::string(static_cast<size_t>(padding), ' '), raw<int64_t>({-7})));
    const Tensor t = read_npy(file);
    const auto* begin = reinterpret_cast<const char*>(file->bytes().data());
    const bool in_place = t.as<char>() > begin && t.as<char>() < begin + file->bytes().size();
    const size_t data_at = file->bytes().size() - 8;
    EXPECT_EQ(in_place, reinterpret_cast<uintptr_t>(begin + data_at) % 8 == 0);
    EXPECT_EQ(t.as<int64_t>()[0], -7);
  }
}

TEST(Npy, RefusesWhatItCannotHold) {
  EXPECT_NE(read_error(Errc::unsupported, npy(1, header_of(">f4", "(1,)"), "1234"))
                .find("x.npy: has element type >f4"),
            std::string::npos);
  EXPECT_NE(read_error(Errc::unsupported, npy(1, header_of("<c8", "(1,)"), "12345678"))
                .find("element type <c8"),
            std::string::npos);
  EXPECT_NE(read_error(Errc::unsupported,
                       npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", ""))
                .find("structured"),
            std::string::npos);
  EXPECT_NE(
      read_error(Errc::unsupported, npy(1, header_of("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "1234"))
          .find("9 dimensions"),
      std::string::npos);
  EXPECT_NE(read_error(Errc::unsupported, npy(4, header_of("<f4", "()"), "1234")).find("format 4"),
            std::string::npos);
}

TEST(Npy, RefusesContradictions) {
  const std::string good = header_of("<f4", "(2,)");
  EXPECT_NE(
      read_error(Errc::corrupt, npy(1, good, "1234567")).find("7 bytes of data; f32[2] takes 8"),
      std::string::npos);
  EXPECT_NE(read_error(Errc::corrupt, npy(1, good, "123456789")).find("9 bytes of data"),
            std::string::npos);
  EXPECT_NE(read_error(Errc::corrupt, "no array at all").find("is no .npy file"),
            std::string::npos);
  EXPECT_NE(read_error(Errc::corrupt, npy(1, header_of("<f4", "(-1,)"), "")).find("no extent"),
            std::string::npos);
  EXPECT_NE(
      read_error(Errc::corrupt,
                 npy(1, header_of("<f4", "(0, 4611686018427387904, 4611686018427387904)"), ""))
          .find("too many elements"),
      std::string::npos);
  EXPECT_NE(read_error(Errc::corrupt, npy(1, header_of("|b1", "(2,)"), "\1\2")).find("booleans"),
            std::string::npos);
  EXPECT_NE(read_error(Errc::corrupt, npy(1, "{'descr': '<f4'}", "")).find("lacks"),
            std::string::npos);
}

TEST(Npy, AnyDamageIsAnErrorOrHarmless) {
  damage_everywhere(npy(1, header_of("<f4", "(2, 1)"), raw<float>({1, 2})),
                    [](const std::string& damaged) { contiguous(read(damaged)); });
}

class NpyFileTest : public testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / join("tutti_npy_test.", ::getpid());
  void SetUp() override { fs::create_directory(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
};

Tensor counting(DType dtype, const Dims& shape) {
  Tensor wide = Tensor::zeros(DType::i64, shape);
  for (int64_t i = 0; i < wide.elements(); ++i) wide.as<int64_t>()[i] = i % 2;
  return cast(wide, dtype);
}

TEST_F(NpyFileTest, WritesTheBytesOfTheFormat) {
  Tensor t = Tensor::zeros(DType::f32, {2});
  t.as<float>()[1] = 1;
  write_npy(folder_ / "a.npy", t);
  std::string expected("\x93NUMPY\1\0\x76\0", 10);
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  expected += std::string(128 - 1 - expected.size(), ' ') + "\n";
  expected += raw<float>({0, 1});
  EXPECT_EQ(as_text(MappedFile::open(folder_ / "a.npy")->bytes()), expected);
}

TEST_F(NpyFileTest, WritesATransposedTensorInCOrder) {
  Tensor t = Tensor::zeros(DType::i32, {2, 3});
  for (int i = 0; i < 6; ++i) t.as<int32_t>()[i] = i;
  std::swap(t.shape[0], t.shape[1]);
  std::swap(t.strides[0], t.strides[1]);
  write_npy(folder_ / "a.npy", t);
  const Tensor back = read_npy(MappedFile::open(folder_ / "a.npy"));
  EXPECT_EQ(back.shape, (Dims{3, 2}));
  const int32_t expected[] = {0, 3, 1, 4, 2, 5};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(back.as<int32_t>()[i], expected[i]);
}

TEST_F(NpyFileTest, NpzComesBackInOrderAndInPlace) {
  std::vector<NamedTensor> tensors;
  for (DType dtype : {DType::boolean, DType::f64, DType::i8, DType::f16})
    tensors.push_back({join("t.", dtype), counting(dtype, {3, 5})});
  tensors.push_back({"scalar", counting(DType::f32, {})});
  tensors.push_back({"empty", counting(DType::f32, {0, 2})});
  write_npz(folder_ / "a.npz", tensors);
  const auto file = MappedFile::open(folder_ / "a.npz");
  const ZipArchive zip(file);
  for (const ZipEntry& entry : zip.entries()) {
    EXPECT_NO_THROW(zip.check_crc(entry));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(zip.bytes(entry).data()) % 64, 0u);
  }
  const auto back = read_npz(file);
  ASSERT_EQ(back.size(), tensors.size());
  for (size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(back[i].name, tensors[i].name);
    EXPECT_EQ(back[i].tensor.dtype, tensors[i].tensor.dtype);
    EXPECT_EQ(back[i].tensor.shape, tensors[i].tensor.shape);
    EXPECT_EQ(std::string(back[i].tensor.as<char>(), back[i].tensor.bytes()),
              std::string(tensors[i].tensor.as<char>(), tensors[i].tensor.bytes()));
  }
}

TEST_F(NpyFileTest, RefusesTypesThatNumpyLacksAndNamesGivenTwice) {
  const Tensor bf16 = Tensor::zeros(DType::bf16, {1});
  EXPECT_NE(error_of(Errc::invalid_argument, [&] { write_npy(folder_ / "a.npy", bf16); })
                .find("numpy has no element type bf16"),
            std::string::npos);
  const Tensor f32 = Tensor::zeros(DType::f32, {1});
  const std::vector<NamedTensor> twice = {{"a", f32}, {"a", f32}};
  EXPECT_NE(error_of(Errc::invalid_argument, [&] { write_npz(folder_ / "a.npz", twice); })
                .find("two tensors are called a"),
            std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST(Npz, NamesTheArrayThatIsBad) {
  TestZip zip;
  zip.add("good.npy", npy(1, header_of("<f4", "()"), "1234"));
  zip.add("bad.npy", npy(1, header_of("<f4", "()"), "123"));
  EXPECT_NE(error_of(Errc::corrupt, [&] { read_npz(zip.file("x.npz")); }).find("x.npz: bad.npy: "),
            std::string::npos);
}

}  // namespace
}  // namespace tutti
