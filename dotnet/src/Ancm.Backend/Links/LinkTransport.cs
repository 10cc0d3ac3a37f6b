using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Ancm.Backend.Links;

/// <summary>
/// Listens for links beside the socket that the server was placed on. Everything else is left to the
/// transport that the server would have without us.
/// </summary>
internal sealed class LinkTransport : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly SocketTransportFactory _sockets;
    private readonly SocketTransportOptions _options;
    private readonly ILogger _logger;

    public LinkTransport(IOptions<SocketTransportOptions> options, ILoggerFactory loggers)
    {
        _sockets = new SocketTransportFactory(options, loggers);
        _options = options.Value;
        _logger = loggers.CreateLogger("Ancm.Backend");
    }

    /// <summary>Where links are listened for; the socket beside it is that of the same name.</summary>
    internal static (string Socket, string Link)? Paths { get; set; }

    public bool CanBind(EndPoint endpoint) => _sockets.CanBind(endpoint);

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        if (endpoint is not UnixDomainSocketEndPoint socket || Paths is not { } paths || socket.ToString() != paths.Socket)
        {
            return await _sockets.BindAsync(endpoint, cancellationToken).ConfigureAwait(false);
        }

        // First the links: the host looks for them when it finds the socket.
        var links = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            links.Bind(new UnixDomainSocketEndPoint(paths.Link));
            links.Listen(_options.Backlog);
            var plain = await _sockets.BindAsync(endpoint, cancellationToken).ConfigureAwait(false);
            return new LinkListener(plain, links, new LinkOptions(_options, _logger));
        }
        catch
        {
            links.Dispose();
            throw;
        }
    }
}
