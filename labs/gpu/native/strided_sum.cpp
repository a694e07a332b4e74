// Reads every `stride`-th float of an array and sums them: 16 independent sums, so that the processor waits for
// memory and not for the additions.
extern "C" float strided_sum(const float* data, long count, long stride) {
    float sums[16] = {};
    const long step = 16 * stride;
    long at = 0;
    for (; at + step <= count; at += step)
        for (int lane = 0; lane < 16; ++lane) sums[lane] += data[at + lane * stride];
    float total = 0;
    for (; at < count; at += stride) total += data[at];
    for (float sum : sums) total += sum;
    return total;
}
