// pte_run FILE IMAGES LOGITS D0 D1 D2 D3: logits of every batch of IMAGES (float32, shape D0 x D1 x D2 x D3 each).
// Of the ExecuTorch runtime alone: no Python and no torch, whose AArch64 wheels want a GPU's libraries.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

using namespace executorch::extension;

int main(int count, char** words) {
  if (count < 5) return fprintf(stderr, "usage: pte_run FILE IMAGES LOGITS D0 D1 ..\n"), 2;
  std::vector<executorch::aten::SizesType> shape;
  size_t step = 1;
  for (int i = 4; i < count; i++) shape.push_back(atoi(words[i])), step *= shape.back();
  std::ifstream images(words[2], std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(images)), {});
  std::ofstream logits(words[3], std::ios::binary);
  Module module(words[1]);
  for (size_t at = 0; at + step * sizeof(float) <= bytes.size(); at += step * sizeof(float)) {
    auto found = module.forward(from_blob(bytes.data() + at, shape));
    if (!found.ok()) return fprintf(stderr, "ExecuTorch error 0x%x\n", static_cast<int>(found.error())), 1;
    auto tensor = found->at(0).toTensor();
    logits.write(reinterpret_cast<const char*>(tensor.const_data_ptr<float>()), tensor.nbytes());
  }
  return logits.flush() ? 0 : 1;
}
