#include "format/squashfs_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqfs/error.h>

#include <array>
#include <string>
#include <string_view>

#include "format/error.h"
#include "format/test_image.h"

namespace firn {
namespace {

std::string CheckRefusal(SquashfsOutput& output, int status) {
  try {
    output.Check(status, "a table");
  } catch (const Error& error) {
    return error.message();
  }
  return {};
}

TEST(SquashfsOutputTest, LibsquashfsReadsWhatItWrote) {
  const FileDescriptor file = MemoryFileOf({});
  SquashfsOutput output(file.get());
  sqfs_file_t* const handle = output.handle();
  const std::string_view text = "0123456789";
  EXPECT_EQ(handle->write_at(handle, 2, text.data(), text.size()), 0);
  EXPECT_EQ(output.size(), 12u);
  EXPECT_EQ(handle->get_size(handle), 12u);
  std::array<char, 3> read{};
  EXPECT_EQ(handle->read_at(handle, 4, read.data(), read.size()), 0);
  EXPECT_EQ(std::string_view(read.data(), read.size()), "234");
  EXPECT_EQ(handle->read_at(handle, 10, read.data(), read.size()), SQFS_ERROR_OUT_OF_BOUNDS);
  EXPECT_EQ(handle->truncate(handle, 5), 0);
  EXPECT_EQ(output.size(), 5u);
  EXPECT_EQ(FileSize(file.get()), 5u);
  EXPECT_EQ(CheckRefusal(output, 0), "");
}

TEST(SquashfsOutputTest, WhatACallbackMetIsThrownByCheck) {
  const FileDescriptor file = OpenFile("/dev/full", O_RDWR, ErrorKind::kOutput);
  SquashfsOutput output(file.get());
  sqfs_file_t* const handle = output.handle();
  const int status = handle->write_at(handle, 0, "text", 4);
  EXPECT_LT(status, 0);
  EXPECT_NE(CheckRefusal(output, status).find("No space left"), std::string::npos);
  EXPECT_LT(handle->truncate(handle, 5), 0);
  EXPECT_NE(CheckRefusal(output, 0).find("cannot set the length"), std::string::npos);
  const FileDescriptor directory = OpenFile("/", O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  SquashfsOutput unreadable(directory.get());
  std::array<char, 3> read{};
  EXPECT_LT(unreadable.handle()->read_at(unreadable.handle(), 0, read.data(), read.size()), 0);
  EXPECT_NE(CheckRefusal(unreadable, 0).find("cannot read"), std::string::npos);
}

TEST(SquashfsOutputTest, ErrorsOfLibsquashfsAreSaidInWords) {
  const FileDescriptor file = MemoryFileOf({});
  SquashfsOutput output(file.get());
  EXPECT_EQ(CheckRefusal(output, SQFS_ERROR_ALLOC),
            "cannot write a table: out of memory (libsquashfs -1)");
  EXPECT_NE(CheckRefusal(output, SQFS_ERROR_COMPRESSOR).find("compressor failed"),
            std::string::npos);
  EXPECT_NE(CheckRefusal(output, SQFS_ERROR_OVERFLOW).find("does not fit"), std::string::npos);
  EXPECT_NE(CheckRefusal(output, SQFS_ERROR_INTERNAL).find("libsquashfs failed"),
            std::string::npos);
}

}  // namespace
}  // namespace firn
