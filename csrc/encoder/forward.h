// A transformer encoder over packed texts on the CPU, from token ids to embeddings of length 1, without
// torch. There is one implementation for each number format and instruction set behind one interface;
// make_forward() chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace univar {

enum class Activation { kGelu, kGeluTanh, kRelu, kSwiglu };
enum class Pooling { kMean, kCls };

// Instruction sets, worst first. Each includes the ones before it.
enum class Isa { kPortable, kAvx2, kAvx512, kAmx };

// Number formats of the products; LayerNorm, softmax and pooling are computed in float32 in all of them.
enum class Dtype { kFloat32, kBfloat16, kInt8 };

// y = x weight^T + bias. weight: (out, in); bias: (out,) or null.
struct LinearWeights {
    const float* weight;
    const float* bias;
    std::size_t in, out;
};

// weight, bias: (dim,).
struct NormWeights {
    const float* weight;
    const float* bias;
};

// qkv: (3 * dim, dim), queries, keys, values, each by heads. up: (intermediate, dim), for SwiGLU (2 *
// intermediate, dim): value, gate. Norms follow the residual sums (post-norm).
struct LayerWeights {
    LinearWeights qkv, out, up, down;
    NormWeights attention_norm, output_norm;
};

struct ModelShape {
    std::size_t dim, heads, intermediate, layers, vocab, positions;
    Activation activation;
    Pooling pooling;
    float norm_eps;
    float rotary_base;  // 0 without rotary embedding

    std::size_t head_dim() const { return dim / heads; }
};

// word: (vocab, dim); position: (positions, dim), row i for token i of a text, or null.
struct ModelWeights {
    const float* word;
    const float* position;
    NormWeights embedding_norm;
    std::vector<LayerWeights> layers;
};

// A loaded encoder. Immutable after construction: any number of threads may call run() at once, each with a
// workspace of its own. Weights are copied and packed by the constructor, so the caller's may go.
class Forward {
  public:
    // Memory that one thread keeps from call to call.
    struct Workspace {
        virtual ~Workspace() = default;
    };

    virtual ~Forward() = default;

    virtual std::unique_ptr<Workspace> make_workspace() const = 0;

    // Embeddings of packed texts, single-threaded; a text's row does not depend on the other texts of the
    // call beyond what the implementation states. ids: (T,) in [0, vocab); cu_seqlens: (texts + 1,) from 0 to
    // T, no text empty or longer than shape.positions; out: (texts, dim) float32, rows of length 1.
    virtual void run(const std::int32_t* ids, const std::int32_t* cu_seqlens, std::size_t texts,
                     Workspace& workspace, float* out) const = 0;

    virtual std::size_t dim() const = 0;

    // Tokens of one call that suit the caches; more are fine.
    virtual std::size_t block_tokens() const { return 256; }
};

// The best instruction set that this CPU has for `dtype`, at most `limit`. float32: AVX-512, AVX2 or
// portable; bfloat16 and int8: AMX or AVX-512 (BF16), else throws.
Isa choose_isa(Dtype dtype, Isa limit);

std::unique_ptr<Forward> make_forward(const ModelShape& shape, const ModelWeights& weights, Dtype dtype,
                                      Isa isa);

// Throws if packed texts are inconsistent or do not fit the model: cu_seqlens (texts + 1,) must rise from 0
// to n_ids, no text may be empty or longer than shape.positions, and every id must be in [0, vocab).
template <typename Offset>
void check_tokens(const ModelShape& shape, const std::int32_t* ids, std::size_t n_ids,
                  const Offset* cu_seqlens, std::size_t texts);

// The implementations. Each throws if the CPU or the shape does not allow it.
std::unique_ptr<Forward> make_float32_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa);
std::unique_ptr<Forward> make_bfloat16_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa);
std::unique_ptr<Forward> make_int8_forward(const ModelShape& shape, const ModelWeights& weights, Isa isa);

}  // namespace univar
