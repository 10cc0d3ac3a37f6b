using System.Text;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

using static Market.Bare;

namespace Market;

/// <summary>Clients that leave, or do not behave, and what the application hears of it.</summary>
internal static class BareClients
{
    /// <summary>Waits for the end that the client makes, which is heard in two ways.</summary>
    internal static async Task Leaving(HttpContext context, string how, Action<string> tell)
    {
        how = how.Split('.')[0];
        var connection = context.Features.GetRequiredFeature<IConnectionLifetimeFeature>();
        var (aborted, closed) = (NewSource(), NewSource());
        context.RequestAborted.Register(aborted.SetResult);
        if (how != "late")
        {
            connection.ConnectionClosed.Register(closed.SetResult);
        }

        Stream? stream = null;
        if (how.StartsWith("upgraded", StringComparison.Ordinal))
        {
            stream = await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync();
        }
        else if (how == "started")
        {
            await context.Response.StartAsync();
        }

        tell("waiting");
        if (how == "upgraded-read")
        {
            tell($"waiting, read {await stream!.ReadAsync(new byte[5])} {await stream.ReadAsync(new byte[5])}");
        }

        await aborted.Task;
        if (how == "late")
        {
            connection.ConnectionClosed.Register(closed.SetResult);
        }

        await closed.Task;
        var write = stream ?? context.Response.Body;
        tell(string.Join(
            '|',
            "over",
            await Refused(() => write.WriteAsync(new byte[100]).AsTask()),
            await Refused(() => write.WriteAsync(new byte[100_000]).AsTask()),
            await Refused(() => write.FlushAsync()),
            await Refused(() => write.WriteAsync(new byte[100], context.RequestAborted).AsTask())));
    }

    /// <summary>Takes the connection over and says goodbye, whatever was said before; or does not take it over.</summary>
    internal static async Task TakenOver(HttpContext context, string how, Action<string> tell)
    {
        if (how == "refused")
        {
            return;
        }

        await using var stream = await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync();
        await stream.WriteAsync("goodbye"u8.ToArray());
        if (how == "failing")
        {
            throw new FormatException("on purpose");
        }
    }

    /// <summary>What became of the request line.</summary>
    internal static Task Target(HttpContext context, string how, Action<string> tell)
    {
        var request = context.Features.GetRequiredFeature<IHttpRequestFeature>();
        var upgrade = context.Features.Get<IHttpUpgradeFeature>()?.IsUpgradableRequest;
        return context.Response.WriteAsync(
            $"{request.RawTarget} {request.PathBase}|{Escaped(request.Path)}|{request.QueryString} {context.Request.Host} {upgrade}");
    }

    private static string Escaped(string text)
    {
        var escaped = new StringBuilder();
        foreach (var character in text)
        {
            escaped.Append(character is > ' ' and < (char)127 ? character : $"<{(int)character:X}>");
        }

        return escaped.ToString();
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
