// WebSockets and other protocols on an upgraded connection.

using System.Net.WebSockets;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Upgrades
{
    /// <summary>Sends messages back; "CloseFromServer" closes.</summary>
    public static async Task WebSocketEcho(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[64 * 1024];
        while (true)
        {
            var received = await socket.ReceiveAsync(buffer.AsMemory(), CancellationToken.None);
            if (received.MessageType == WebSocketMessageType.Close)
            {
                await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "closed", CancellationToken.None);
                return;
            }

            if (Encoding.UTF8.GetString(buffer, 0, received.Count) == "CloseFromServer")
            {
                await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "as asked", CancellationToken.None);
                return;
            }

            await socket.SendAsync(
                buffer.AsMemory(0, received.Count), received.MessageType, received.EndOfMessage, CancellationToken.None);
        }
    }

    /// <summary>An application with manners: says goodbye when it is stopped.</summary>
    public static async Task WebSocketUntilStop(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        await context.RequestServices.GetRequiredService<IHostApplicationLifetime>()
            .ApplicationStopping.WhenCanceled();
        await socket.CloseAsync(WebSocketCloseStatus.EndpointUnavailable, "stopping", CancellationToken.None);
    }

    public static async Task WebSocketLifetimeEvents(HttpContext context)
    {
        context.Response.OnStarting(() =>
        {
            context.Response.Headers["custom"] = "set while starting";
            return Task.CompletedTask;
        });
        await WebSocketEcho(context);
    }

    public static async Task WebReadBeforeUpgrade(HttpContext context)
    {
        var read = await context.Request.Body.ReadAsync(new byte[10]);
        Outcomes.Tell(context, $"read {read}");
        await WebSocketEcho(context);
    }

    /// <summary>An upgrade to nothing in particular: bytes go back as they come.</summary>
    public static async Task RawEcho(HttpContext context)
    {
        var upgrade = context.Features.GetRequiredFeature<IHttpUpgradeFeature>();
        context.Response.Headers.Upgrade = "echo";
        await using var stream = await upgrade.UpgradeAsync();
        var buffer = new byte[4096];
        int read;
        while ((read = await stream.ReadAsync(buffer)) > 0)
        {
            await stream.WriteAsync(buffer.AsMemory(0, read));
            await stream.FlushAsync();
        }
    }

    public static async Task UpgradeFails(HttpContext context)
    {
        var upgrade = context.Features.Get<IHttpUpgradeFeature>();
        var thrown = upgrade is null ? "no feature" : await Outcomes.NameOf(() => upgrade.UpgradeAsync());
        await context.Response.WriteAsync(thrown);
    }
}
