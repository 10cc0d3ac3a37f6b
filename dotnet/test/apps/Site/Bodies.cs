// Reading request bodies and sending them back.

using System.Buffers;
using System.Globalization;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Bodies
{
    private static void Unlimit(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = null;
        }
    }

    public static async Task ReadAndWriteEcho(HttpContext context)
    {
        Unlimit(context);
        var buffer = new byte[4096];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read));
        }
    }

    public static async Task ReadAndFlushEcho(HttpContext context)
    {
        await context.Response.Body.FlushAsync();
        var buffer = new byte[4096];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read));
            await context.Response.Body.FlushAsync();
        }
    }

    public static async Task ReadAndWriteEchoTwice(HttpContext context)
    {
        var buffer = new byte[4096];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read));
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read));
        }
    }

    public static Task ReadAndWriteCopyToAsync(HttpContext context)
    {
        Unlimit(context);
        return context.Request.Body.CopyToAsync(context.Response.Body);
    }

    public static async Task ReadAndWriteEchoLines(HttpContext context)
    {
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        context.Response.ContentType = context.Request.Headers["Response-Content-Type"].FirstOrDefault() ?? "text/plain";
        await context.Response.Body.FlushAsync();
        using var reader = new StreamReader(context.Request.Body);
        while (await reader.ReadLineAsync() is { } line)
        {
            await context.Response.WriteAsync(line + "\n");
            await context.Response.Body.FlushAsync();
        }
    }

    public static async Task ReadAndWriteSynchronously(HttpContext context)
    {
        context.Features.GetRequiredFeature<IHttpBodyControlFeature>().AllowSynchronousIO = true;
        var reading = Task.Run(() =>
        {
            var buffer = new byte[1000];
            var total = 0;
            int read;
            while ((read = context.Request.Body.Read(buffer, 0, buffer.Length)) > 0)
            {
                total += read;
            }

            return total;
        });
        var writing = Task.Run(() =>
        {
            var piece = Encoding.ASCII.GetBytes("hello world");
            for (var round = 0; round < 10_000; round++)
            {
                context.Response.Body.Write(piece, 0, piece.Length);
            }
        });
        await writing;
        Outcomes.Tell(context, (await reading).ToString(CultureInfo.InvariantCulture));
    }

    public static async Task SynchronousByDefault(HttpContext context)
    {
        var read = await Outcomes.NameOf(() =>
        {
            _ = context.Request.Body.Read(new byte[10], 0, 10);
            return Task.CompletedTask;
        });
        var write = await Outcomes.NameOf(() =>
        {
            context.Response.Body.Write("x"u8.ToArray(), 0, 1);
            return Task.CompletedTask;
        });
        await context.Response.WriteAsync($"{read} {write}");
    }

    public static async Task ReadRequestBody(HttpContext context)
    {
        var one = new byte[1];
        while (await context.Request.Body.ReadAsync(one) == 1)
        {
            await context.Response.Body.WriteAsync(one);
        }
    }

    public static async Task ReadPartialBody(HttpContext context)
    {
        var buffer = new byte[5];
        await context.Request.Body.ReadExactlyAsync(buffer);
        await context.Response.Body.WriteAsync(buffer);
    }

    public static Task IgnoreBody(HttpContext context) => context.Response.WriteAsync("not read");

    public static async Task ReadAndCountRequestBody(HttpContext context)
    {
        Unlimit(context);
        Outcomes.Tell(context, "reading");
        var buffer = new byte[64 * 1024];
        long total = 0;
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            total += read;
        }

        await context.Response.WriteAsync(total.ToString(CultureInfo.InvariantCulture));
    }

    public static async Task SetHeaderFromBody(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        var value = await reader.ReadToEndAsync();
        context.Response.Headers["BodyAsString"] = value;
        await context.Response.WriteAsync(value);
    }

    public static async Task TestReadOffsetWorks(HttpContext context)
    {
        var buffer = new byte[11];
        await context.Request.Body.ReadExactlyAsync(buffer, 0, 6);
        await context.Request.Body.ReadExactlyAsync(buffer, 6, 5);
        await context.Response.WriteAsync(Encoding.UTF8.GetString(buffer));
    }

    private static readonly (int Offset, int Count)[] s_invalid = [(-1, 1), (11, 1), (0, -1), (0, 11), (5, 6)];

    public static async Task InvalidReads(HttpContext context)
    {
        foreach (var (offset, count) in s_invalid)
        {
            var name = "none";
            try
            {
                _ = await context.Request.Body.ReadAsync(new byte[10], offset, count);
            }
            catch (ArgumentException)
            {
                name = "ArgumentException";
            }

            await context.Response.WriteAsync(name + "\n");
        }
    }

    public static async Task InvalidWrites(HttpContext context)
    {
        foreach (var (offset, count) in s_invalid)
        {
            var name = "none";
            try
            {
                await context.Response.Body.WriteAsync(new byte[10], offset, count);
            }
            catch (ArgumentException)
            {
                name = "ArgumentException";
            }

            await context.Response.WriteAsync(name + "\n");
        }
    }

    public static async Task ValidReads(HttpContext context)
    {
        var none = await context.Request.Body.ReadAsync(null!, 0, 0);
        var zero = await context.Request.Body.ReadAsync(new byte[1], 0, 0);
        await context.Response.WriteAsync($"{none} {zero}");
    }

    public static async Task ValidWrites(HttpContext context)
    {
        await context.Response.Body.WriteAsync(null!, 0, 0);
        await context.Response.Body.WriteAsync(new byte[1], 0, 0);
        await context.Response.WriteAsync("Success");
    }

    public static async Task BodyReaderEcho(HttpContext context)
    {
        Unlimit(context);
        while (true)
        {
            var read = await context.Request.BodyReader.ReadAsync();
            foreach (var segment in read.Buffer)
            {
                context.Response.BodyWriter.Write(segment.Span);
            }

            context.Request.BodyReader.AdvanceTo(read.Buffer.End);
            await context.Response.BodyWriter.FlushAsync();
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    public static Task RequestTrailers(HttpContext context) => Trailers(context);

    private static async Task Trailers(HttpContext context)
    {
        await context.Request.Body.CopyToAsync(Stream.Null);
        await context.Response.WriteAsync(
            context.Request.SupportsTrailers() && context.Request.CheckTrailersAvailable()
                ? context.Request.GetTrailer("X-Trailer").ToString()
                : "none");
    }
}
